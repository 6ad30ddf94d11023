/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/yaml.h"
#include "ctl/check.h"
#include "datastore/store.h"

enum { KEY_DATASTORE = 0x1000, KEY_MANIFESTS, KEY_SOCKET, KEY_LOG, KEY_MISMATCH, KEY_CONTEXT };

static const struct argp_option options[] = {
	{ "datastore", KEY_DATASTORE, "dir:PATH|kubernetes[:KUBECONFIG]", 0,
	  "where the objects are (default " CTL_STORE ")", 90 },
	{ "manifests", KEY_MANIFESTS, "DIR", 0,
	  "folder of read-only objects (default " CTL_MANIFESTS ")", 90 },
	{ "socket", KEY_SOCKET, "PATH", 0, "the agent's (default " CTL_SOCKET ")", 90 },
	{ "config", 'c', "FILE", 0, "calicoctl's configuration (default " CTL_CONFIG ")", 90 },
	{ "log-level", KEY_LOG, "LEVEL", 0, "debug, info, warning, error, fatal", 90 },
	{ "allow-version-mismatch", KEY_MISMATCH, NULL, OPTION_HIDDEN, NULL, 90 },
	{ "context", KEY_CONTEXT, "NAME", OPTION_HIDDEN, NULL, 90 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ctl *ctl = state->input;
	enum log_level level;

	switch (key) {
	case KEY_DATASTORE:
		ctl->datastore = arg;
		return 0;
	case KEY_MANIFESTS:
		ctl->manifests = arg;
		return 0;
	case KEY_SOCKET:
		ctl->socket = arg;
		return 0;
	case 'c':
		ctl->config = arg;
		return 0;
	case KEY_LOG:
		/* calicoctl's panic is our fatal. */
		if (log_level_parse(strcmp(arg, "panic") ? arg : "fatal", &level) < 0)
			argp_error(state, "--log-level: \"%s\" is not a level", arg);
		log_set_level(level);
		return 0;
	case KEY_MISMATCH:
	case KEY_CONTEXT:
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp ctl_argp = { .options = options, .parser = parse };

static void say(const char *what, const char *format, va_list args)
{
	fflush(stdout);
	fputs(what, stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void ctl_error(struct ctl *ctl, const char *format, ...)
{
	va_list args;

	ctl->failed = true;
	va_start(args, format);
	say("error: ", format, args);
	va_end(args);
}

void ctl_warning(struct ctl *ctl, const char *format, ...)
{
	va_list args;

	(void)ctl;
	va_start(args, format);
	say("warning: ", format, args);
	va_end(args);
}

/* --- which store --- */

/* One text of a YAML file: NULL where the file or the value is not there. */
static char *config_text(const char *file, const char *path, struct err *err)
{
	_cleanup_docs_ struct docs *docs = NULL;
	_cleanup_free_ char *text = NULL;
	const char *value;
	size_t size;
	int r = file_read(AT_FDCWD, file, DOC_BYTES_MAX, &text, &size);

	if (r == -ENOENT)
		return NULL;
	if (!r)
		r = docs_read(text, size, &docs, err);
	else
		err_errno(err, r, "cannot be read");
	if (r < 0) {
		err_wrap(err, r, "%s", file);
		return NULL;
	}
	value = docs->count ? json_text_at(docs->v[0].root, path) : NULL;
	return value ? xstrdup(value) : NULL;
}

char *ctl_agent_setting(const char *key, const char *otherwise)
{
	struct err err = { 0 };
	char *text = config_text(CTL_AGENT_CONFIG, key, &err);

	return text ? text : xstrdup(otherwise);
}

/* The text that names the store, and who said it. */
static char *find_datastore(struct ctl *ctl, const char **ret_from, struct err *err)
{
	const char *file = ctl->config ? ctl->config : CTL_CONFIG, *type = getenv("DATASTORE_TYPE");
	char *text;

	*ret_from = "--datastore";
	if (ctl->datastore)
		return xstrdup(ctl->datastore);
	*ret_from = "DATASTORE_TYPE";
	if (type && *type)
		return xstrdup(type);
	if (ctl->config && access(file, R_OK) < 0) {
		err_errno(err, -errno, "%s", file);
		return NULL;
	}
	*ret_from = file;
	text = config_text(file, "spec.datastoreType", err);
	if (text || err->code)
		return text;
	*ret_from = CTL_AGENT_CONFIG;
	text = config_text(CTL_AGENT_CONFIG, "datastore", err);
	if (text || err->code)
		return text;
	*ret_from = "default";
	return xstrdup(CTL_STORE);
}

/* KUBECONFIG is the store's business; calicoctl's file may name one too. Takes name. */
static char *with_kubeconfig(struct ctl *ctl, char *name)
{
	const char *named = getenv("KUBECONFIG");
	_cleanup_free_ char *path = NULL;
	struct err err = { 0 };
	char *whole;

	if (strcmp(name, "kubernetes") != 0 || (named && *named))
		return name;
	path = config_text(ctl->config ? ctl->config : CTL_CONFIG, "spec.kubeconfig", &err);
	if (!path || !*path)
		return name;
	whole = xasprintf("%s:%s", name, path);
	free(name);
	return whole;
}

int ctl_store(struct ctl *ctl, bool write, struct err *err)
{
	_cleanup_free_ char *name = NULL, *manifests = NULL;
	struct store_options open = { .create = write, .check = check_decodes, .programs = true };
	const char *from;

	if (ctl->store)
		return 0;
	err->code = 0;
	name = find_datastore(ctl, &from, err);
	if (!name)
		return err->code;
	if (!ctl->manifests)
		manifests = config_text(CTL_AGENT_CONFIG, "manifests", err);
	open.manifests = ctl->manifests ? ctl->manifests : manifests ? manifests : CTL_MANIFESTS;
	if (!strcmp(name, "etcd") || !strcmp(name, "etcdv3"))
		return err_set(err, -EPROTONOSUPPORT,
			       "the datastore \"%s\" (from %s) is not built yet: use "
			       "--datastore dir:PATH or kubernetes, or DATASTORE_TYPE",
			       name, from);
	name = with_kubeconfig(ctl, name);
	err->code = 0;
	if (store_open(name, &open, &ctl->store, err) < 0)
		return err->code == -EPROTONOSUPPORT
			       ? err_set(err, err->code,
					 "datastore \"%s\" (from %s): expected dir:/absolute/path "
					 "or kubernetes[:kubeconfig]",
					 name, from)
			       : err->code;
	return 0;
}

void ctl_done(struct ctl *ctl)
{
	store_close(ctl->store);
	ctl->store = NULL;
}
