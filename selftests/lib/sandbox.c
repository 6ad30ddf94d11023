/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"

#define OBJECT_MAX (16UL << 20)

int sandbox_enter(char ret_root[PATH_MAX])
{
	char top[] = "/tmp/margay-test-XXXXXX";

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	/* A tmpfs over /tmp first: the folder of the mount leaves nothing behind either. */
	if (mount("tmp", "/tmp", "tmpfs", 0, "size=64m,mode=0700") || !mkdtemp(top) ||
	    mount("bpf", top, "bpf", 0, "mode=0700"))
		return -errno;
	snprintf(ret_root, PATH_MAX, "%s/margay", top);
	return 0;
}

/* The folder of the program, opened before sandbox_enter() puts a tmpfs over /tmp, where the tree
 * may lie. */
static int own_folder = -1;

__attribute__((constructor)) static void open_own_folder(void)
{
	char own[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	if (size < 0)
		return;
	own[size] = '\0';
	slash = strrchr(own, '/');
	if (!slash)
		return;
	*slash = '\0';
	own_folder = open(own, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int sandbox_object(const char *name, void **ret_data, size_t *ret_size)
{
	char path[PATH_MAX], *text;
	int r;

	/* .../selftests/prog/test_x */
	snprintf(path, sizeof(path), "../bpf/%s.o", name);
	r = file_read(own_folder, path, OBJECT_MAX, &text, ret_size);
	if (!r)
		*ret_data = text;
	return r;
}

int sandbox_drop(void)
{
	const cap_value_t keep[] = { CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON };
	cap_t caps = cap_init();
	int r = 0;

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, 3, keep, CAP_SET) ||
	    cap_set_flag(caps, CAP_EFFECTIVE, 3, keep, CAP_SET) || cap_set_proc(caps))
		r = -errno;
	cap_free(caps);
	return r;
}

bool sandbox_tcx(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 6);
}
