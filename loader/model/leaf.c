/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of plain values: texts, numbers, enums, addresses. */
#include "model/field.h"

#include <ctype.h>
#include <math.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/inet.h"

#define TEXT_MAX 4096

/* The string, or a complaint and NULL. */
static const char *text_of(struct decode *d, const struct path *path, const json_t *value)
{
	if (!json_is_string(value))
		complain_type(d, path, value, "a string");
	return json_string_value(value);
}

READER(read_text)
{
	const size_t limit = field->max ? (size_t)field->max : TEXT_MAX;
	const char *text = text_of(d, path, value);

	if (!text)
		return;
	if (strlen(text) > limit)
		complain(d, path, "is longer than %zu bytes", limit);
	else if (field->flags & FIELD_NOT_EMPTY && !*text)
		complain(d, path, "is empty");
	else if (field->is_valid && *text && !field->is_valid(text))
		complain(d, path, "\"%.64s\" is not %s", text, field->what);
	else
		*(const char **)at = arena_strdup(d->arena, text);
}

READER(read_bool)
{
	(void)field;
	if (json_is_boolean(value))
		*(bool *)at = json_is_true(value);
	else
		complain_type(d, path, value, "a boolean");
}

void store_uint(void *at, size_t size, unsigned long long value)
{
	const uint8_t v1 = (uint8_t)value;
	const uint16_t v2 = (uint16_t)value;
	const uint32_t v4 = (uint32_t)value;
	const uint64_t v8 = value;

	memcpy(at,
	       size == 1   ? (const void *)&v1
	       : size == 2 ? (const void *)&v2
	       : size == 4 ? (const void *)&v4
			   : (const void *)&v8,
	       size);
}

bool int_in_range(struct decode *d, const struct path *path, const json_t *value, long long min,
		  long long max)
{
	if (!json_is_integer(value)) {
		if (json_is_real(value))
			complain(d, path, "%g is not an integer", json_real_value(value));
		else
			complain_type(d, path, value, "an integer");
		return false;
	}
	if (json_integer_value(value) >= min && json_integer_value(value) <= max)
		return true;
	complain(d, path, "%lld is not in %lld-%lld", (long long)json_integer_value(value), min,
		 max);
	return false;
}

READER(read_int)
{
	long long max = field->max;

	if (!max && !field->min)
		max = field->size >= 8 ? INT64_MAX : (1LL << (field->size * 8)) - 1;
	if (int_in_range(d, path, value, field->min, max))
		store_uint(at, field->size, (unsigned long long)json_integer_value(value));
}

READER(read_number)
{
	(void)field;
	if (json_is_number(value))
		*(double *)at = json_number_value(value);
	else
		complain_type(d, path, value, "a number");
}

const struct enum_text transport_protocols[] = {
	{ "TCP", IPPROTO_TCP }, { "UDP", IPPROTO_UDP }, { "SCTP", IPPROTO_SCTP }, { NULL, 0 }
};

/* --- enums ---------------------------------------------------------------------------------- */

static void complain_enum(struct decode *d, const struct path *path, const char *text,
			  const struct enum_text *enums)
{
	char list[256] = "";
	size_t used = 0;

	for (; enums->text && used < sizeof(list) - 1; enums++)
		if (*enums->text)
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
						 used ? ", " : "", enums->text);
	complain(d, path, "\"%.64s\" is not one of %s", text, list);
}

static bool enum_value(struct decode *d, const struct path *path, const json_t *value,
		       const struct field *field, int *ret_value)
{
	const char *text = text_of(d, path, value);

	if (!text)
		return false;
	for (const struct enum_text *e = field->enums; e->text; e++) {
		if (field->flags & FIELD_ANY_CASE ? strcasecmp(e->text, text)
						  : strcmp(e->text, text))
			continue;
		*ret_value = e->value;
		return true;
	}
	complain_enum(d, path, text, field->enums);
	return false;
}

READER(read_enum)
{
	int chosen;

	if (enum_value(d, path, value, field, &chosen))
		store_uint(at, field->size, (unsigned long long)chosen);
}

READER(read_flags)
{
	unsigned int flags = 0;
	const json_t *item;
	size_t index;
	int chosen;

	if (!json_is_array(value)) {
		complain_type(d, path, value, "a list");
		return;
	}
	json_array_foreach(value, index, item) {
		struct path place = { .up = path, .index = index };

		if (!enum_value(d, &place, item, field, &chosen))
			return;
		if (flags & (unsigned int)chosen)
			complain(d, &place, "is given twice");
		flags |= (unsigned int)chosen;
	}
	memcpy(at, &flags, sizeof(flags));
}

/* --- addresses ------------------------------------------------------------------------------ */

READER(read_addr)
{
	const char *text = text_of(d, path, value);
	union mg_addr addr;

	(void)field;
	if (!text)
		return;
	if (addr_parse(text, &addr))
		complain(d, path, "\"%.64s\" is not an IP address", text);
	else
		*(union mg_addr *)at = addr;
}

READER(read_prefix)
{
	const bool host_ok = field->flags & FIELD_HOST_OK;
	const char *text = text_of(d, path, value);
	struct mg_prefix prefix;

	if (!text)
		return;
	if (prefix_parse(text, host_ok, &prefix)) {
		complain(d, path, "\"%.64s\" is not a CIDR%s", text, host_ok ? " or address" : "");
		return;
	}
	if (field->flags & FIELD_MASKED && !prefix_is_masked(&prefix)) {
		complain(d, path, "%.64s has bits set behind its prefix length", text);
		return;
	}
	if (!(field->flags & FIELD_KEEP_HOST))
		prefix_mask(&prefix);
	*(struct mg_prefix *)at = prefix;
}

READER(read_mac)
{
	const char *text = text_of(d, path, value);
	unsigned int b[6];
	uint8_t *mac = at;
	int used = 0;

	(void)field;
	if (!text)
		return;
	if (strlen(text) != 17 ||
	    sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &used) != 6 ||
	    used != 17) {
		complain(d, path, "\"%.64s\" is not an Ethernet address", text);
		return;
	}
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
}

/* --- numbers with units --------------------------------------------------------------------- */

struct unit {
	const char *text;
	double factor;
};

/* The longest unit that the text begins with. */
static const struct unit *unit_at(const struct unit *units, const char *text)
{
	const struct unit *best = NULL;

	for (; units->text; units++)
		if (!strncmp(text, units->text, strlen(units->text)) &&
		    (!best || strlen(units->text) > strlen(best->text)))
			best = units;
	return best;
}

/* Digits with at most one dot; what is behind them, NULL: no number. */
static const char *take_number(const char *text, double *ret_number)
{
	double number = 0, scale = 0;
	bool any = false;

	for (; isdigit((unsigned char)*text) || (*text == '.' && scale == 0); text++) {
		if (*text == '.') {
			scale = 1;
			continue;
		}
		any = true;
		number = number * 10 + (*text - '0');
		scale *= 10;
	}
	*ret_number = number / (scale > 1 ? scale : 1);
	return any ? text : NULL;
}

/* Milliseconds of "1h2m3.5s"; negative: not one. */
static double parse_duration(const char *text)
{
	static const struct unit units[] = { { "ns", 1e-6 },  { "us", 1e-3 }, { "\xc2\xb5s", 1e-3 },
					     { "ms", 1 },     { "s", 1e3 },   { "m", 60e3 },
					     { "h", 3600e3 }, { NULL, 0 } };
	double sum = 0, number;

	if (!strcmp(text, "0"))
		return 0;
	if (!*text)
		return -1;
	while (*text) {
		const struct unit *unit;

		text = take_number(text, &number);
		unit = text ? unit_at(units, text) : NULL;
		if (!unit)
			return -1;
		sum += number * unit->factor;
		text += strlen(unit->text);
	}
	return sum;
}

READER(read_duration)
{
	const long long max = field->max ? field->max : UINT32_MAX;
	const char *text = text_of(d, path, value);
	double ms;

	if (!text)
		return;
	ms = parse_duration(text);
	if (ms < 0)
		complain(d, path, "\"%.64s\" is not a duration such as 1m30s", text);
	else if (ms < (double)field->min || ms > (double)max)
		complain(d, path, "%.64s is not in %lldms-%lldms", text, field->min, max);
	else
		*(uint32_t *)at = (uint32_t)ms;
}

READER(read_quantity)
{
	static const struct unit units[] = { { "", 1 },	       { "n", 1e-9 },	 { "u", 1e-6 },
					     { "m", 1e-3 },    { "k", 1e3 },	 { "M", 1e6 },
					     { "G", 1e9 },     { "T", 1e12 },	 { "P", 1e15 },
					     { "E", 1e18 },    { "Ki", 0x1p10 }, { "Mi", 0x1p20 },
					     { "Gi", 0x1p30 }, { "Ti", 0x1p40 }, { "Pi", 0x1p50 },
					     { "Ei", 0x1p60 }, { NULL, 0 } };
	const struct unit *unit = NULL;
	const char *text, *rest;
	double number;

	(void)field;
	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*(uint64_t *)at = (uint64_t)json_integer_value(value);
		return;
	}
	text = text_of(d, path, value);
	if (!text)
		return;
	rest = take_number(text, &number);
	if (rest)
		unit = unit_at(units, rest);
	if (!unit || rest[strlen(unit->text)] || number * unit->factor >= 0x1p63)
		complain(d, path, "\"%.64s\" is not a quantity such as 10M", text);
	else
		*(uint64_t *)at = (uint64_t)ceil(number * unit->factor);
}
