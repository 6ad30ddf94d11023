/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/trial.h"

#include <errno.h>
#include <string.h>

#include "agent/history.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/rpc.h"

#define LOOK_MS 500 /* between questions */

struct trial {
	struct event *timer;
	uint64_t good;	  /* the newest change with which the datastore was in reach */
	int64_t deadline; /* rpc_now(); 0: nothing is on trial */
	struct trial_question *question;
	unsigned long failures;
};

struct trial_question {
	struct trial *trial; /* NULL: the agent has ended */
	struct agent *agent;
	struct store_write write;
	uint64_t last; /* change that was in force when it was asked */
	char *name;
};

static struct trial *trial_of(struct agent *agent);

static void again_in(struct trial *trial, int64_t ms)
{
	const struct timeval when = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(trial->timer, &when);
}

static void is_well(struct agent *agent, struct trial *trial, uint64_t last)
{
	trial->good = last;
	if (last != agent->history->last)
		return; /* more has changed since: it is asked once more */
	trial->deadline = 0;
	event_del(trial->timer);
	log_info("host policy leaves the datastore in reach", NULL);
}

/* --- asking -------------------------------------------------------------------------------- */

/* Nobody has such an object: "not found" is the answer that is expected. */
static void on_answer(int result, struct store_write *writes, size_t count, const struct err *err,
		      void *arg)
{
	struct trial_question *question = arg;
	struct trial *trial = question->trial;

	(void)err;
	if (trial) {
		trial->question = NULL;
		if (trial->deadline && result != -ECANCELED && !store_unreachable(result))
			is_well(question->agent, trial, question->last);
	}
	store_writes_done(writes, count);
	free(question->name);
	free(question);
}

static void ask(struct agent *agent, struct trial *trial)
{
	struct trial_question *question;

	if (trial->question)
		return;
	question = xcalloc(1, sizeof(*question));
	question->trial = trial;
	question->agent = agent;
	question->last = agent->history->last;
	question->name = xasprintf("host-policy-trial-%s", agent->config.node);
	/* Policy may let a connection that is there go on and no other one come about. */
	question->write = (struct store_write){
		.op = STORE_DELETE,
		.fresh = true,
		.key = { .kind = store_kind(KIND_TRACE_REQUEST), .name = question->name },
	};
	trial->question = question;
	store_commit_async(agent->store, &question->write, 1, on_answer, question);
}

/* --- the end ------------------------------------------------------------------------------- */

static void take_back(struct agent *agent, struct trial *trial)
{
	struct err err = { 0 };
	size_t count;

	trial->deadline = 0;
	trial->failures++;
	count = history_take_back(agent, trial->good, &err);
	if (!count) {
		log_error("host policy seems to cut this node off its datastore, and there is no "
			  "change to take back",
			  NULL);
		return;
	}
	log_error("HOST POLICY CUT THIS NODE OFF ITS DATASTORE: taken back, and held until it "
		  "changes or \"margayctl policy resume\"",
		  "node", agent->config.node, NULL);
	if (*err.text)
		log_error("it would not be held over a restart", "why", err.text, NULL);
	trial->good = agent->history->last;
	agent_dirty(agent, CHANGE_POLICY);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	struct trial *trial = trial_of(agent);

	(void)fd;
	(void)what;
	if (!trial->deadline)
		return;
	if (rpc_now() >= trial->deadline) {
		take_back(agent, trial);
		return;
	}
	ask(agent, trial);
	again_in(trial, LOOK_MS);
}

/* --- the beginning ------------------------------------------------------------------------- */

static struct trial *trial_of(struct agent *agent)
{
	struct trial *trial = agent->trial;

	if (trial)
		return trial;
	trial = agent->trial = xcalloc(1, sizeof(*trial));
	trial->timer = evtimer_new(agent->base, on_timer, agent);
	return trial;
}

void trial_round(struct agent *agent, bool hosts)
{
	struct trial *trial = trial_of(agent);

	if (!hosts && !trial->deadline)
		trial->good = agent->history->last;
	if (!hosts || !agent->config.host_trial || history_held(agent))
		return;
	if (!trial->deadline && agent->store_down)
		return;
	trial->deadline = rpc_now() + (int64_t)agent->config.host_trial * 1000;
	again_in(trial, 0);
}

bool trial_pending(const struct agent *agent)
{
	return agent->trial && agent->trial->deadline;
}

unsigned long trial_failures(const struct agent *agent)
{
	return agent->trial ? agent->trial->failures : 0;
}

void trial_stop(struct agent *agent)
{
	struct trial *trial = agent->trial;

	if (!trial)
		return;
	if (trial->question)
		trial->question->trial = NULL;
	event_free(trial->timer);
	free(trial);
	agent->trial = NULL;
}
