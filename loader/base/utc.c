/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utc.h"

#include <stdio.h>
#include <time.h>

const char *utc_format(uint64_t ms, char *text)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char date[24];

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, UTC_TEXT_MAX, "%s.%03uZ", date, (unsigned int)(ms % 1000));
	return text;
}

/* The fraction after the seconds as milliseconds; moves *text behind it. */
static unsigned int parse_fraction(const char **text)
{
	unsigned int ms = 0, scale = 100;

	if (**text != '.')
		return 0;
	for ((*text)++; **text >= '0' && **text <= '9'; (*text)++, scale /= 10)
		ms += (unsigned int)(**text - '0') * scale;
	return ms;
}

uint64_t utc_parse(const char *text)
{
	struct tm tm = {};
	unsigned int ms, hours = 0, minutes = 0;
	char sign;
	time_t t;

	text = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!text)
		return 0;
	t = timegm(&tm);
	ms = parse_fraction(&text);
	if (sscanf(text, "%c%2u:%2u", &sign, &hours, &minutes) == 3 && (sign == '+' || sign == '-'))
		t -= (sign == '+' ? 1 : -1) * (time_t)(hours * 3600 + minutes * 60);
	return t < 0 ? 0 : (uint64_t)t * 1000 + ms;
}
