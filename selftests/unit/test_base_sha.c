/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256: the examples of FIPS 180-4 (NIST, "SHA256.pdf") and every length around a block's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "base/sha.h"

static void test_examples(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t digest[SHA256_SIZE];
		char text[2 * SHA256_SIZE + 1];

		sha256(cases[i].text, strlen(cases[i].text), digest);
		for (int k = 0; k < SHA256_SIZE; k++)
			snprintf(text + 2 * k, 3, "%02x", digest[k]);
		assert_string_equal(text, cases[i].want);
	}
}

/* Against libcrypto's: where the padding needs a block more, and longer texts. */
static void test_lengths(void **state)
{
	static unsigned char data[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 131 + i / 7);
	for (size_t size = 0; size < sizeof(data); size += size < 300 ? 1 : 97) {
		uint8_t own[SHA256_SIZE], other[SHA256_DIGEST_LENGTH];

		sha256(data, size, own);
		SHA256(data, size, other);
		assert_memory_equal(own, other, sizeof(own));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
