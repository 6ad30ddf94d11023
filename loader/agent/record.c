/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/endpoint.h"
#include "agent/host_port.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rpc.h"

#define RECORD_MAX 65536

static const char *text_of(const json_t *record, const char *key)
{
	const char *text = json_string_value(json_object_get(record, key));

	return text ? text : "";
}

static char *folder_of(const struct agent *agent, const char *name)
{
	return xasprintf("%s/cni/%s", agent->config.state_dir, name);
}

static int read_record(const char *path, json_t **ret_record, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = file_read(AT_FDCWD, path, RECORD_MAX, &text, &size);

	if (r < 0)
		return err_errno(err, r, "%s", path);
	return rpc_decode(text, size, RECORD_MAX, ret_record, err);
}

/* Calls each for every record in a folder of the plugin; what cannot be read is named and left. */
static void each_record(struct agent *agent, const char *folder,
			void (*each)(struct agent *agent, const json_t *record, const char *path))
{
	_cleanup_free_ char *path = folder_of(agent, folder);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *file = NULL;
		_cleanup_json_ json_t *record = NULL;
		struct err err = { 0 };

		if (entry->d_name[0] == '.')
			continue;
		file = xasprintf("%s/%s", path, entry->d_name);
		if (read_record(file, &record, &err) < 0)
			log_warning("record left alone", "file", file, "why", err.text, NULL);
		else
			each(agent, record, file);
	}
	if (dir)
		closedir(dir);
}

static void remove_file(const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		log_warning("record", "file", path, "why", strerror(errno), NULL);
}

/* --- attachments --------------------------------------------------------------------------- */

/* NULL: it names nothing that the agent gave, or its slot is another's by now. */
static struct endpoint *restore(struct agent *agent, const json_t *record)
{
	const char *container = text_of(record, "container"), *ifname = text_of(record, "ifname");
	json_int_t slot = json_integer_value(json_object_get(record, "slot"));
	struct endpoint *endpoint;
	struct mg_ep row;
	__u32 key;

	if (!*container || !*ifname || slot < 1 || slot >= agent->slots || agent->by_slot[slot] ||
	    endpoint_find(agent, container, ifname))
		return NULL;
	endpoint = endpoint_new(agent, container, ifname, (uint16_t)slot);
	if (!endpoint)
		return NULL;
	endpoint_name(endpoint, record);
	endpoint_fill(endpoint, record);
	endpoint_wishes(endpoint, record);
	if (json_is_true(json_object_get(record, "ready")) &&
	    !json_array_size(json_object_get(record, "routes")))
		host_ports_drop(endpoint); /* a further network of its container */
	endpoint_addresses(endpoint, json_object_get(record, "addresses"));
	endpoint->external = json_is_true(json_object_get(record, "external"));
	/* A former agent was about to change the way its programs are attached. */
	key = endpoint->slot;
	endpoint->twice = !dp_map_get(dp_get_map(agent->dp, "mg_ep"), &key, &row) &&
			  row.ifindex == endpoint->ifindex && row.flags & MG_EP_TWICE;
	return endpoint;
}

struct endpoint *record_restore(struct agent *agent, const char *container, const char *ifname)
{
	_cleanup_free_ char *folder = folder_of(agent, "attachments");
	_cleanup_free_ char *path = xasprintf("%s/%s:%s.json", folder, container, ifname);
	_cleanup_json_ json_t *record = NULL;
	struct err err;

	if (strchr(container, '/') || strchr(ifname, '/') || read_record(path, &record, &err) < 0)
		return NULL;
	return restore(agent, record);
}

void record_remove(struct agent *agent, const char *container, const char *ifname)
{
	_cleanup_free_ char *folder = folder_of(agent, "attachments");
	_cleanup_free_ char *path = xasprintf("%s/%s:%s.json", folder, container, ifname);

	remove_file(path);
}

/* One that is not ready is an ADD on its way: it keeps slot and addresses, and commits or is
 * deleted. */
static void restore_each(struct agent *agent, const json_t *record, const char *path)
{
	struct endpoint *endpoint = restore(agent, record);

	(void)path;
	if (!endpoint || !json_is_true(json_object_get(record, "ready")))
		return;
	endpoint->committed = true;
	endpoint_changed(agent, endpoint);
}

/* --- releases ------------------------------------------------------------------------------ */

/* The file goes when the release is on disk elsewhere; until then it may be worked off again. */
static void on_released(void *context, const struct ipam_result *result)
{
	_cleanup_free_ char *path = context;

	if (result->status == 0)
		remove_file(path);
}

static void release_each(struct agent *agent, const json_t *record, const char *path)
{
	const char *network = text_of(record, "network");
	struct endpoint *endpoint =
		endpoint_find(agent, text_of(record, "container"), text_of(record, "ifname"));
	const struct ipam_owner owner = { .network = *network ? network : NULL,
					  .container = text_of(record, "container"),
					  .ifname = text_of(record, "ifname") };

	if (endpoint)
		endpoint_remove(agent, endpoint);
	if (json_is_true(json_object_get(record, "external"))) {
		remove_file(path);
		return;
	}
	ipam_release(agent->ipam, &owner, on_released, xstrdup(path));
	event_active(agent->ipam_event, 0, 0);
}

void records_released(struct agent *agent)
{
	each_record(agent, "released", release_each);
}

static void on_appeared(evutil_socket_t fd, short what, void *context)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t size;

	(void)what;
	/* Which file it was does not matter: the folder is read whole. */
	do {
		size = read(fd, events, sizeof(events));
	} while (size > 0);
	records_released(context);
}

static int watch(struct agent *agent, const char *path, struct err *err)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return err_errno(err, -errno, "inotify");
	if (inotify_add_watch(fd, path, IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
		int r = err_errno(err, -errno, "watch %s", path);

		close(fd);
		return r;
	}
	agent->released_event =
		event_new(agent->base, fd, EV_READ | EV_PERSIST, on_appeared, agent);
	event_add(agent->released_event, NULL);
	return 0;
}

/* --- life ---------------------------------------------------------------------------------- */

int records_start(struct agent *agent, struct err *err)
{
	_cleanup_free_ char *attachments = folder_of(agent, "attachments");
	_cleanup_free_ char *released = folder_of(agent, "released");
	int r;

	r = dir_make(attachments, 0700, err);
	if (!r)
		r = dir_make(released, 0700, err);
	if (!r)
		r = watch(agent, released, err);
	if (r < 0)
		return r;
	each_record(agent, "attachments", restore_each);
	return 0;
}

void records_stop(struct agent *agent)
{
	int fd;

	if (!agent->released_event)
		return;
	fd = event_get_fd(agent->released_event);
	event_free(agent->released_event);
	close(fd);
}
