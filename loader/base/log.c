/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static enum log_level current = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info",	  [LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_FATAL] = "fatal",
};

void log_set_level(enum log_level level)
{
	current = level;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (unsigned int i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (!strcasecmp(name, level_names[i])) {
			*ret_level = i;
			return 0;
		}
	}
	if (!strcasecmp(name, "trace")) {
		*ret_level = LOG_LEVEL_DEBUG;
		return 0;
	}
	return -EINVAL;
}

static void put_value(FILE *out, const char *value)
{
	if (*value && !strpbrk(value, " \"=\\\n\t")) {
		fputs(value, out);
		return;
	}
	fputc('"', out);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', out);
		fputc((unsigned char)*value < ' ' ? ' ' : *value, out);
	}
	fputc('"', out);
}

static void put_time(FILE *out)
{
	struct timespec now;
	struct tm utc;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	fprintf(out, "time=%s.%03ldZ ", text, now.tv_nsec / 1000000);
}

void log_line(enum log_level level, const char *message, ...)
{
	char line[4096];
	const char *key;
	va_list args;
	FILE *out;

	if (level < current)
		return;
	out = fmemopen(line, sizeof(line), "w");
	if (!out)
		return;
	put_time(out);
	fprintf(out, "level=%s msg=", level_names[level]);
	put_value(out, message);
	va_start(args, message);
	while ((key = va_arg(args, const char *))) {
		const char *value = va_arg(args, const char *);

		fprintf(out, " %s=", key);
		put_value(out, value ? value : "");
	}
	va_end(args);
	fclose(out);
	line[sizeof(line) - 2] = 0;
	/* One write, so that lines of several processes do not mix. */
	strcat(line, "\n");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return;
}
