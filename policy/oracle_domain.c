/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain names. projectcalico.org/v3 EntityRule and NetworkSetSpec: a "*" stands for one or more
 * labels; policy.networking.k8s.io DomainName: "'*', the wildcard specifier, matches one or more
 * entire labels". Case does not matter (RFC 4343), nor does the root's dot.
 */
#include <ctype.h>
#include <string.h>

#include "base/inet.h"
#include "policy/oracle.h"

static bool is_end(const char *at)
{
	return !at[0] || (at[0] == '.' && !at[1]);
}

/* Behind the label and its dot. */
static const char *next_label(const char *at)
{
	at += strcspn(at, ".");
	return *at ? at + 1 : at;
}

static bool label_is(const char *pattern, const char *name)
{
	size_t i = 0;

	while (pattern[i] && pattern[i] != '.') {
		if (tolower((unsigned char)pattern[i]) != tolower((unsigned char)name[i]))
			return false;
		i++;
	}
	return !name[i] || name[i] == '.';
}

static bool matches(const char *pattern, const char *name)
{
	if (is_end(pattern) || is_end(name))
		return is_end(pattern) && is_end(name);
	if (pattern[0] != '*')
		return label_is(pattern, name) && matches(next_label(pattern), next_label(name));
	do {
		name = next_label(name);
		if (matches(next_label(pattern), name))
			return true;
	} while (!is_end(name));
	return false;
}

static bool has_addr(const struct oracle_name *name, const union mg_addr *addr)
{
	for (size_t i = 0; i < name->addr_count; i++)
		if (!addr_cmp(&name->addrs[i], addr))
			return true;
	return false;
}

bool oracle_in_domains(const struct oracle_world *world, const char *const *patterns, size_t count,
		       const union mg_addr *addr)
{
	for (size_t i = 0; i < world->name_count; i++)
		for (size_t k = 0; has_addr(&world->names[i], addr) && k < count; k++)
			if (matches(patterns[k], world->names[i].name))
				return true;
	return false;
}
