/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on stderr, "level=info msg=\"...\" key=value ..." (logfmt). Only programs log
 * (agent, ctl, cni); libraries return errors. The level is the one global of the process.
 *
 *	log_info("endpoint added", "pod", name, "slot", slot_text, NULL);
 * Keys and values are strings, ended by NULL; values are quoted where they need it. No secret
 * may be a value.
 */
#ifndef MARGAY_BASE_LOG_H
#define MARGAY_BASE_LOG_H

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_FATAL
};

void log_set_level(enum log_level level);

/* "Debug", "info" ...: any case, Calico's names (Trace counts as Debug). -EINVAL: none of them. */
int log_level_parse(const char *name, enum log_level *ret_level);

void log_line(enum log_level level, const char *message, ...) __attribute__((sentinel));

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
