/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON trees into typed objects: one decoder, driven by a field table a kind (field.h), for
 * all that comes in: files, the API server, etcd, margayctl.
 *
 * STRICT is what margayctl and admission use: one bad field refuses the object. Unknown fields
 * are warnings that problem.unknown marks.
 * LENIENT is what the agent uses for what is already in the store (design, section 7): a bad
 * rule (one with an unknown field too) is left out or replaced, and reported as PROBLEM_DROPPED;
 *what does not decode at all (kind, name, selector of the object itself, syntax) is an error and
 *gives no object.
 *
 *	_cleanup_problems_ struct problems problems = { 0 };
 *	struct object *object;
 *	r = object_decode(doc->root, &(struct decode_options){ .doc = doc, .file = path },
 *			  &object, &problems);
 */
#ifndef MARGAY_MODEL_DECODE_H
#define MARGAY_MODEL_DECODE_H

#include <jansson.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "model/object.h"

struct doc;

enum decode_mode { DECODE_STRICT, DECODE_LENIENT };

enum severity {
	PROBLEM_WARNING, /* the object is whole: unknown field, no effect yet */
	PROBLEM_DROPPED, /* a part was left out or replaced (LENIENT alone) */
	PROBLEM_ERROR	 /* there is no object */
};

struct problem {
	enum severity severity;
	const char *path;  /* "spec.ingress[0].ports[1].port"; "" : the object as a whole */
	const char *text;  /* "70000 is not in 1-65535" */
	unsigned int line; /* 0: not known */
	bool unknown;	   /* a warning: the field is not known */
};

/* At most PROBLEMS_MAX are kept; `more` counts the others. */
#define PROBLEMS_MAX 64

struct problems {
	size_t count;
	size_t more; /* not kept */
	struct problem *v;
	struct arena *arena; /* private, made on first use */
};

void problems_done(struct problems *problems);
#define _cleanup_problems_ _cleanup_(problems_done)

/* The worst severity, PROBLEM_WARNING where there is none. */
enum severity problems_worst(const struct problems *problems);

/* "spec.ingress[0].ports[1].port: 70000 is not in 1-65535", with "line N: " before it where
 * the line is known. The caller frees. */
char *problem_text(const struct problem *problem);

struct decode_options {
	enum decode_mode mode;
	const struct doc *doc; /* for line numbers; NULL: not known */
	const char *file;      /* where it came from, copied; NULL: not from a file */
};

/* One reference in *ret_object. A namespaced object without a namespace is in "default".
 * -ENOENT: apiVersion and kind are not known; -EINVAL: it does not decode. problems are added
 * to, also on success. */
int object_decode(const json_t *root, const struct decode_options *options,
		  struct object **ret_object, struct problems *problems);

#endif
