/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/events.h"

struct dp_events {
	struct ring_buffer *ring;
	dp_event_fn function;
	void *data;
	unsigned int left; /* of this turn; 0: no limit */
	unsigned int handed;
	unsigned int bad;
	bool skips;
};

/* libbpf counts the record as read whatever this returns; other than 0 ends the turn. */
static int on_record(void *context, void *record, size_t size)
{
	struct dp_events *events = context;

	if (events->skips)
		return 0;
	if (size < sizeof(struct mg_event)) {
		events->bad++;
		return 0;
	}
	events->function(record, events->data);
	events->handed++;
	return events->left && events->handed >= events->left ? -ECANCELED : 0;
}

int dp_events_open(const struct dp_map *map, dp_event_fn function, void *data,
		   struct dp_events **ret_events, struct err *err)
{
	struct dp_events *events = xcalloc(1, sizeof(*events));
	int r;

	events->function = function;
	events->data = data;
	events->ring = ring_buffer__new(map->fd, on_record, events, NULL);
	if (!events->ring) {
		r = -errno;
		free(events);
		return err_errno(err, r, "events");
	}
	*ret_events = events;
	return 0;
}

void dp_events_close(struct dp_events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	free(events);
}

void dp_events_skip(struct dp_events *events)
{
	events->skips = true;
	(void)ring_buffer__consume(events->ring);
	events->skips = false;
}

int dp_events_fd(const struct dp_events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

int dp_events_read(struct dp_events *events, unsigned int max, unsigned int *ret_bad)
{
	int r;

	events->left = max;
	events->handed = 0;
	events->bad = 0;
	r = ring_buffer__consume(events->ring);
	if (ret_bad)
		*ret_bad = events->bad;
	return r < 0 && r != -ECANCELED ? r : (int)events->handed;
}
