/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/kube_config.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"

#define FILES_MAX 16
#define PEM_MAX (256 * 1024) /* bytes of a file with certificates */
#define EXEC_WORDS_MAX 256

struct source {
	const char *path;
	const char *folder; /* what relative paths in it are relative to */
	struct docs *docs;
};

struct reader {
	struct kube_config *config;
	struct source files[FILES_MAX];
	size_t count;
	struct err *err;
};

/* An entry of a list of a kubeconfig, and where it stands. */
struct entry {
	const struct source *source;
	const json_t *value;
	const char *list;  /* "clusters" */
	const char *field; /* "cluster" */
	const char *name;
};

static void reader_done(struct reader *reader)
{
	for (size_t i = 0; i < reader->count; i++)
		docs_free(reader->files[i].docs);
}

static int bad(const struct reader *reader, const struct entry *entry, const char *field,
	       const char *what)
{
	return err_set(reader->err, -EINVAL, "%s: %s \"%s\": %s%s%s", entry->source->path,
		       entry->field, entry->name, field, *field ? ": " : "", what);
}

/* --- files --- */

static int open_file(struct reader *reader, const char *path)
{
	struct arena *arena = reader->config->arena;
	struct source *source = &reader->files[reader->count];
	_cleanup_free_ char *text = NULL;
	const char *slash = strrchr(path, '/');
	size_t size;
	int r = file_read(AT_FDCWD, path, DOC_BYTES_MAX, &text, &size);

	if (r < 0)
		return err_errno(reader->err, r, "kubeconfig %s", path);
	r = docs_read(text, size, &source->docs, reader->err);
	OPENSSL_cleanse(text, size);
	if (r < 0)
		return err_wrap(reader->err, r, "kubeconfig %s", path);
	source->path = arena_strdup(arena, path);
	source->folder = slash ? arena_printf(arena, "%.*s", (int)(slash - path + 1), path) : "";
	reader->count++;
	return 0;
}

/* Of a list of files those that are there; one that is named alone must be. */
static int open_files(struct reader *reader, const char *paths)
{
	bool alone = !strchr(paths, ':');

	while (*paths) {
		size_t size = strcspn(paths, ":");
		const char *path = arena_printf(reader->config->arena, "%.*s", (int)size, paths);
		int r = 0;

		if (size && (alone || access(path, F_OK) == 0))
			r = reader->count == FILES_MAX
				    ? err_set(reader->err, -E2BIG, "more than %d kubeconfig files",
					      FILES_MAX)
				    : open_file(reader, path);
		if (r < 0)
			return r;
		paths += size;
		paths += *paths == ':';
	}
	return reader->count ? 0 : err_set(reader->err, -ENOENT, "no kubeconfig file is there");
}

static const json_t *root_of(const struct source *source)
{
	return source->docs->count ? source->docs->v[0].root : NULL;
}

/* The first entry of that name, file by file. */
static int find_entry(const struct reader *reader, struct entry *entry)
{
	size_t at;
	json_t *item;

	for (size_t i = 0; i < reader->count; i++) {
		entry->source = &reader->files[i];
		json_array_foreach(json_at(root_of(entry->source), entry->list), at, item) {
			const char *name = json_text_at(item, "name");

			if (!name || strcmp(name, entry->name) != 0)
				continue;
			entry->value = json_object_get(item, entry->field);
			return json_is_object(entry->value)
				       ? 0
				       : bad(reader, entry, "", "expected an object");
		}
	}
	return err_set(reader->err, -EINVAL, "%s: there is no %s named \"%s\"",
		       reader->files[0].path, entry->field, entry->name);
}

/* --- fields --- */

static const char *copy_of(const struct reader *reader, const struct entry *entry,
			   const char *field)
{
	return arena_strdup(reader->config->arena, json_text_at(entry->value, field));
}

static const char *path_of(const struct reader *reader, const struct entry *entry, const char *file)
{
	return arena_printf(reader->config->arena, "%s%s",
			    *file == '/' ? "" : entry->source->folder, file);
}

/* Base64 with line ends in between, as some tools write it. NULL: it is none. */
static char *decode_base64(struct arena *arena, const char *text)
{
	size_t size = 0, pad = 0;
	char *clean = arena_alloc(arena, strlen(text) + 1), *out;
	int n;

	for (; *text; text++) {
		if (strchr(" \t\r\n", *text))
			continue;
		pad += *text == '=';
		clean[size++] = *text;
	}
	out = arena_alloc(arena, size / 4 * 3 + 1);
	n = size % 4 || pad > 2
		    ? -1
		    : EVP_DecodeBlock((unsigned char *)out, (unsigned char *)clean, (int)size);
	OPENSSL_cleanse(clean, size);
	if (n < 0)
		return NULL;
	out[n - (int)pad] = 0;
	return out;
}

static int read_pem_file(const struct reader *reader, const char *path, const char **ret_pem)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = file_read(AT_FDCWD, path, PEM_MAX, &text, &size);

	if (r < 0)
		return err_errno(reader->err, r, "%s", path);
	*ret_pem = arena_strdup(reader->config->arena, text);
	OPENSSL_cleanse(text, size);
	return 0;
}

/* "certificate-authority-data", or else the file that "certificate-authority" names. */
static int read_pem(const struct reader *reader, const struct entry *entry, const char *field,
		    const char **ret_pem)
{
	const char *data_field = arena_printf(reader->config->arena, "%s-data", field);
	const char *data = json_text_at(entry->value, data_field);
	const char *file = json_text_at(entry->value, field);
	const char *pem;
	int r;

	if (!data && !file)
		return 0;
	if (!data) {
		r = read_pem_file(reader, path_of(reader, entry, file), ret_pem);
		return r < 0 ? err_wrap(reader->err, r, "%s: %s \"%s\": %s", entry->source->path,
					entry->field, entry->name, field)
			     : 0;
	}
	pem = decode_base64(reader->config->arena, data);
	if (!pem || !strstr(pem, "-----BEGIN "))
		return bad(reader, entry, data_field, "expected PEM text in base64");
	*ret_pem = pem;
	return 0;
}

static int read_server(const struct reader *reader, const struct entry *entry)
{
	struct kube_config *config = reader->config;
	const char *server = json_text_at(entry->value, "server");
	size_t size = server ? strlen(server) : 0;

	if (!size)
		return bad(reader, entry, "server", "expected https://host[:port]");
	if (strncmp(server, "https://", 8) != 0)
		return err_set(reader->err, -EACCES,
			       "%s: cluster \"%s\": server: \"%.100s\" is not https: credentials "
			       "are only sent over TLS",
			       entry->source->path, entry->name, server);
	while (size > 8 && server[size - 1] == '/')
		size--;
	config->servers[config->server_count++] =
		arena_printf(config->arena, "%.*s", (int)size, server);
	return 0;
}

static int read_cluster(const struct reader *reader, const struct entry *entry)
{
	struct kube_config *config = reader->config;
	int r;

	if (json_bool_or(entry->value, "insecure-skip-tls-verify", false))
		return err_set(reader->err, -EACCES,
			       "%s: cluster \"%s\": insecure-skip-tls-verify is refused: give the "
			       "server's certificate-authority-data",
			       entry->source->path, entry->name);
	if (json_text_at(entry->value, "proxy-url"))
		return bad(reader, entry, "proxy-url", "proxies are not supported");
	r = read_server(reader, entry);
	if (!r)
		r = read_pem(reader, entry, "certificate-authority", &config->ca);
	config->tls_name = copy_of(reader, entry, "tls-server-name");
	return r;
}

/* --- credentials by a program --- */

/* An item of a list as one text; NULL: it is not of the right shape. */
typedef char *(*word_fn)(struct arena *arena, const json_t *item);

static char *argument(struct arena *arena, const json_t *item)
{
	return arena_strdup(arena, json_string_value(item));
}

static char *variable(struct arena *arena, const json_t *item)
{
	const char *name = json_text_at(item, "name");

	if (!name || !*name || strchr(name, '='))
		return NULL;
	return arena_printf(arena, "%s=%s", name, json_text_or(item, "value", ""));
}

static int read_words(const struct reader *reader, const struct entry *entry, const char *field,
		      word_fn word, char *const **ret_list)
{
	const json_t *items = json_at(entry->value, field);
	size_t count = json_array_size(items);
	char **list;

	if (count > EXEC_WORDS_MAX)
		return bad(reader, entry, field, "too many");
	list = arena_array(reader->config->arena, count + 1, sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		list[i] = word(reader->config->arena, json_array_get(items, i));
		if (!list[i])
			return bad(reader, entry, field,
				   "expected strings (args), names and values (env)");
	}
	*ret_list = list;
	return 0;
}

static int read_exec(const struct reader *reader, const struct entry *entry)
{
	struct kube_exec *exec = &reader->config->exec;
	const char *command = json_text_at(entry->value, "exec.command");
	int r;

	if (!command || !*command)
		return bad(reader, entry, "exec.command", "expected a program");
	exec->api = copy_of(reader, entry, "exec.apiVersion");
	if (!exec->api || strncmp(exec->api, "client.authentication.k8s.io/v1", 31) != 0)
		return bad(reader, entry, "exec.apiVersion",
			   "expected client.authentication.k8s.io/v1 or v1beta1");
	exec->hint = copy_of(reader, entry, "exec.installHint");
	/* a path with a slash is the file's, a bare name PATH's */
	exec->command = strchr(command, '/') ? path_of(reader, entry, command)
					     : arena_strdup(reader->config->arena, command);
	r = read_words(reader, entry, "exec.args", argument, &exec->args);
	return r ? r : read_words(reader, entry, "exec.env", variable, &exec->environment);
}

static int read_user(const struct reader *reader, const struct entry *entry)
{
	struct kube_config *config = reader->config;
	const char *token_file = json_text_at(entry->value, "tokenFile");
	int r = read_pem(reader, entry, "client-certificate", &config->certificate);

	if (!r)
		r = read_pem(reader, entry, "client-key", &config->key);
	if (!r && !config->certificate != !config->key)
		r = bad(reader, entry, "", "client-certificate and client-key go together");
	if (!r && json_object_get(entry->value, "auth-provider"))
		r = bad(reader, entry, "auth-provider",
			"was removed from Kubernetes in 1.26: use exec");
	if (!r && json_object_get(entry->value, "exec"))
		r = read_exec(reader, entry);
	config->token = copy_of(reader, entry, "token");
	/* the file wins, as in client-go */
	if (token_file)
		config->token_file = path_of(reader, entry, token_file);
	config->username = copy_of(reader, entry, "username");
	config->password = copy_of(reader, entry, "password");
	return r;
}

/* --- the whole --- */

static int find_context(const struct reader *reader, struct entry *context)
{
	for (size_t i = 0; i < reader->count; i++) {
		context->name = json_text_at(root_of(&reader->files[i]), "current-context");
		if (context->name && *context->name)
			return find_entry(reader, context);
	}
	return err_set(reader->err, -EINVAL, "%s: current-context is not set",
		       reader->files[0].path);
}

static int read_context(struct reader *reader)
{
	struct kube_config *config = reader->config;
	struct entry context = { .list = "contexts", .field = "context" };
	struct entry cluster = { .list = "clusters", .field = "cluster" };
	struct entry user = { .list = "users", .field = "user" };
	int r = find_context(reader, &context);

	if (r < 0)
		return r;
	config->from =
		arena_printf(config->arena, "%s (context %s)", context.source->path, context.name);
	config->namespace =
		arena_strdup(config->arena, json_text_or(context.value, "namespace", "default"));
	cluster.name = json_text_at(context.value, "cluster");
	user.name = json_text_at(context.value, "user");
	if (!cluster.name)
		return bad(reader, &context, "cluster", "expected a name");
	r = find_entry(reader, &cluster);
	if (!r)
		r = read_cluster(reader, &cluster);
	if (!r && user.name && *user.name)
		r = find_entry(reader, &user);
	return r || !user.value ? r : read_user(reader, &user);
}

struct kube_config *kube_config_new(void)
{
	struct arena *arena = arena_new();
	struct kube_config *config = arena_alloc(arena, sizeof(*config));

	config->arena = arena;
	return config;
}

static int read_paths(const char *paths, struct kube_config **ret_config, struct err *err)
{
	_cleanup_kube_config_ struct kube_config *config = kube_config_new();
	_cleanup_(reader_done) struct reader reader = { .config = config, .err = err };
	int r = open_files(&reader, paths);

	if (!r)
		r = read_context(&reader);
	if (!r)
		*ret_config = TAKE_PTR(config);
	return r;
}

int kube_config_read(const char *path, struct kube_config **ret_config, struct err *err)
{
	const struct kube_pod_env pod = { .folder = KUBE_ACCOUNT_FOLDER,
					  .host = getenv("KUBERNETES_SERVICE_HOST"),
					  .port = getenv("KUBERNETES_SERVICE_PORT") };
	const char *home = getenv("HOME");
	_cleanup_free_ char *own = NULL;
	int r;

	if (!path)
		path = getenv("KUBECONFIG");
	if (path && *path)
		return read_paths(path, ret_config, err);
	r = kube_config_pod(&pod, ret_config, err);
	if (r != -ENOENT)
		return r;
	own = xasprintf("%s/.kube/config", home && *home ? home : "/root");
	r = read_paths(own, ret_config, err);
	return r == -ENOENT
		       ? err_set(err, -ENOENT,
				 "no API server is named: neither by KUBECONFIG, nor by a pod's "
				 "service account, nor by %s",
				 own)
		       : r;
}

static void wipe(const char *text)
{
	if (text)
		OPENSSL_cleanse((char *)(unsigned long)text, strlen(text));
}

void kube_config_free(struct kube_config *config)
{
	if (!config)
		return;
	wipe(config->key);
	wipe(config->token);
	wipe(config->password);
	arena_free(config->arena);
}
