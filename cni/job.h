/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADD as a row of steps, each with what undoes it. DEL, GC and a failed ADD are the same undos in
 * reverse order; each of them does no harm where its step was never made.
 */
#ifndef MARGAY_CNI_JOB_H
#define MARGAY_CNI_JOB_H

#include "cni/attachment.h"
#include "cni/wire.h"

struct plugin;

struct job {
	struct plugin *plugin;
	struct attachment attachment;
	struct wire wire;   /* descriptors as far as they are needed */
	int lock;	    /* of the interface's name; -1: not held */
	int attach_type;    /* enum dp_attach_type */
	bool hand_over;	    /* DEL: the agent may delete the interfaces ... */
	bool retired;	    /* ... which nobody uses any more */
	bool agent_knows;   /* it may hold something of this attachment */
	long long deadline; /* for the agent and for other plugins */
};
void job_done(struct job *job);
#define _cleanup_job_ _cleanup_(job_done)
#define JOB_NONE { .wire = WIRE_NONE, .lock = -1 }

/* For the attachment that the environment names; nothing is opened or locked yet. */
void job_init(struct job *job, struct plugin *plugin);
int job_lock(struct job *job);

/* All steps; what was made is undone if one fails. */
int job_make(struct job *job);
/* Undoes everything. What could not be undone keeps the record, and is the error; all else is
 * done nevertheless. */
int job_unmake(struct job *job);

/* Another container of the same pod gives way: a sandbox that was made anew while the old one's DEL
 * is yet to come. Walks over all records. 1: there was one; 0. */
int job_replace(struct job *job);

/* Another attachment than the job's own, with the job's lock or its own. */
int unmake_attachment(struct plugin *plugin, const struct attachment *attachment, bool lock);

#endif
