/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asserts that a call returned 0, with the words it left in the fixture's struct err if not.
 */
#ifndef MARGAY_SELFTESTS_LIB_OK_H
#define MARGAY_SELFTESTS_LIB_OK_H

#define OK(fixture, expression)                                                                    \
	do {                                                                                       \
		int _r = (expression);                                                             \
		if (_r)                                                                            \
			fail_msg("%s: %d, %s", #expression, _r, (fixture)->err.text);              \
	} while (0)

#endif
