/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margay: the CNI plugin. What it prints on stdout is for the runtime (result or error object),
 * what it says on stderr is for people.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "cni/plugin.h"

/* All of stdin; one byte more than the limit is enough to be refused. */
static int read_stdin(char **ret_text, size_t *ret_size)
{
	_cleanup_free_ char *text = xmalloc(CNI_CONFIG_MAX + 1);
	size_t used = 0;

	while (used <= CNI_CONFIG_MAX) {
		ssize_t n = read(STDIN_FILENO, text + used, CNI_CONFIG_MAX + 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		used += (size_t)n;
	}
	*ret_text = TAKE_PTR(text);
	*ret_size = used;
	return 0;
}

static int print(const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(STDOUT_FILENO, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return 1;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

int main(void)
{
	_cleanup_free_ char *text = NULL, *output = NULL;
	size_t size = 0;
	int status;

	if (!getenv("CNI_COMMAND")) {
		fputs("margay: a CNI plugin (0.3.1 to 1.1.0), run by container runtimes; "
		      "see docs/cni.md\n",
		      stderr);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	if (read_stdin(&text, &size) < 0)
		return print("{\"cniVersion\": \"1.1.0\", \"code\": 5, \"msg\": \"stdin\"}\n") | 1;
	status = plugin_run(getenv, text, size, &output);
	return !output || print(output) ? 1 : status;
}
