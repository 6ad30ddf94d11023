/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/kube_auth.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rpc.h"
#include "datastore/kube_config.h"

#define TOKEN_MAX 65536
#define TOKEN_MS 60000	 /* between two looks at a token's file */
#define PROGRAM_MS 30000 /* that it may take */
#define OUTPUT_MAX (256 * 1024)
#define EARLY_SECONDS 30 /* what expires sooner is renewed */
#define ENVIRONMENT_MAX 1024

struct kube_auth {
	const struct kube_config *config;
	bool programs;
	char *token, *certificate, *key; /* what was read or printed */
	bool fresh;
	long long look; /* rpc_now() from which on the token's file is read again */
	time_t expires; /* what was printed; 0: it does not say */
};

struct kube_auth *kube_auth_new(const struct kube_config *config, bool programs)
{
	struct kube_auth *auth = xcalloc(1, sizeof(*auth));

	auth->config = config;
	auth->programs = programs;
	return auth;
}

static void wipe(char **text)
{
	if (*text)
		OPENSSL_cleanse(*text, strlen(*text));
	free(TAKE_PTR(*text));
}

static void forget(struct kube_auth *auth)
{
	wipe(&auth->token);
	wipe(&auth->certificate);
	wipe(&auth->key);
	auth->fresh = false;
}

void kube_auth_free(struct kube_auth *auth)
{
	if (!auth)
		return;
	forget(auth);
	free(auth);
}

/* --- a file --- */

static int read_token(struct kube_auth *auth, struct err *err)
{
	const char *path = auth->config->token_file;
	char *text;
	size_t size;
	int r;

	if (auth->fresh && rpc_now() < auth->look)
		return 0;
	r = file_read(AT_FDCWD, path, TOKEN_MAX, &text, &size);
	/* while it is being replaced, what is known may do */
	if (r < 0 && auth->token)
		return 0;
	if (r < 0)
		return err_errno(err, -EACCES, "the token's file %s (%s)", path, strerror(-r));
	while (size && strchr(" \t\r\n", text[size - 1]))
		text[--size] = 0;
	wipe(&auth->token);
	auth->token = text;
	auth->fresh = true;
	auth->look = rpc_now() + TOKEN_MS;
	return size ? 0 : err_set(err, -EACCES, "the token's file %s is empty", path);
}

/* --- a program --- */

static bool is_expired(const struct kube_auth *auth)
{
	return auth->expires && time(NULL) >= auth->expires - EARLY_SECONDS;
}

/* The whole environment of the program: ours, the kubeconfig's, and what it is asked. */
static char **environment_of(struct arena *arena, const struct kube_exec *exec)
{
	char **list = arena_array(arena, ENVIRONMENT_MAX, sizeof(*list));
	size_t count = 0;

	for (char **at = environ; *at && count < ENVIRONMENT_MAX / 2; at++)
		list[count++] = *at;
	for (char *const *at = exec->environment; at && *at; at++)
		list[count++] = *at;
	list[count] = arena_printf(arena,
				   "KUBERNETES_EXEC_INFO={\"apiVersion\":\"%s\",\"kind\":"
				   "\"ExecCredential\",\"spec\":{\"interactive\":false}}",
				   exec->api);
	return list;
}

static char **arguments_of(struct arena *arena, const struct kube_exec *exec)
{
	size_t count = 0;
	char **list;

	while (exec->args && exec->args[count])
		count++;
	list = arena_array(arena, count + 2, sizeof(*list));
	list[0] = arena_strdup(arena, exec->command);
	for (size_t i = 0; i < count; i++)
		list[i + 1] = exec->args[i];
	return list;
}

/* RFC 3339, in UTC as the API has it. 0: none. */
static time_t time_of(const char *text)
{
	struct tm tm = { 0 };

	return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) : 0;
}

static char *copy(const char *text)
{
	return text && *text ? xstrdup(text) : NULL;
}

static int take_output(struct kube_auth *auth, const char *output, struct err *err)
{
	const struct kube_exec *exec = &auth->config->exec;
	_cleanup_json_ json_t *root = json_read(output, strlen(output));

	if (strcmp(json_text_or(root, "kind", ""), "ExecCredential") != 0)
		return err_set(err, -EACCES, "%s (of %s) did not print an ExecCredential",
			       exec->command, auth->config->from);
	auth->token = copy(json_text_at(root, "status.token"));
	auth->certificate = copy(json_text_at(root, "status.clientCertificateData"));
	auth->key = copy(json_text_at(root, "status.clientKeyData"));
	auth->expires = time_of(json_text_at(root, "status.expirationTimestamp"));
	if (!auth->token && !(auth->certificate && auth->key))
		return err_set(err, -EACCES, "%s (of %s) printed neither a token nor a certificate",
			       exec->command, auth->config->from);
	auth->fresh = true;
	return 0;
}

static int run_program(struct kube_auth *auth, const char *file, struct err *err)
{
	const struct kube_exec *program = &auth->config->exec;
	_cleanup_arena_ struct arena *arena = arena_new();
	const struct exec exec = { .file = file,
				   .name = program->command,
				   .argv = arguments_of(arena, program),
				   .environment = environment_of(arena, program),
				   .output_max = OUTPUT_MAX,
				   .deadline = rpc_now() + PROGRAM_MS };
	char *output = NULL;
	int status, r = exec_run(&exec, &status, &output, err);

	if (!r && status)
		r = err_set(err, -EACCES, "%s (of %s) failed with status %d", program->command,
			    auth->config->from, status);
	if (!r)
		r = take_output(auth, output, err);
	wipe(&output);
	return r < 0 ? -EACCES : 0;
}

static int ask_program(struct kube_auth *auth, struct err *err)
{
	const struct kube_exec *exec = &auth->config->exec;
	_cleanup_free_ char *file = NULL;

	if (auth->fresh && !is_expired(auth))
		return 0;
	forget(auth);
	if (!auth->programs)
		return err_set(err, -EACCES,
			       "%s: its user needs the program %s, and the agent runs no programs: "
			       "give it a tokenFile or a client certificate",
			       auth->config->from, exec->command);
	file = exec_find(exec->command, getenv("PATH"));
	if (!file)
		return err_set(err, -EACCES, "%s: its user needs the program %s%s%s",
			       auth->config->from, exec->command, exec->hint ? ": " : "",
			       exec->hint ? exec->hint : ", which is not there");
	return run_program(auth, file, err);
}

/* --- either --- */

int kube_auth_get(struct kube_auth *auth, struct kube_credentials *ret_credentials, struct err *err)
{
	const struct kube_config *config = auth->config;
	int r = 0;

	if (config->token_file)
		r = read_token(auth, err);
	else if (config->exec.command)
		r = ask_program(auth, err);
	if (r < 0)
		return r;
	*ret_credentials = (struct kube_credentials){
		.token = auth->token ? auth->token : config->token,
		.certificate = auth->certificate ? auth->certificate : config->certificate,
		.key = auth->certificate ? auth->key : config->key,
		.username = config->username,
		.password = config->password,
	};
	return 0;
}

bool kube_auth_refused(struct kube_auth *auth)
{
	if (!auth->config->token_file && !auth->config->exec.command)
		return false;
	forget(auth);
	return true;
}
