/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors: Calico's expressions over labels and Kubernetes' LabelSelector, as one tree.
 *
 *	expr := and ('||' and)*			or := lowest precedence
 *	and  := not ('&&' not)*
 *	not  := '!'* ( has(k) | all() | global() | k == 'v' | k != 'v' | k in {'v', ...} |
 *		k not in {...} | k contains 'v' | k starts with 'v' | k ends with 'v' | '(' expr ')'
 *)
 *
 * Strings are '..' or "..", without escapes; the empty text is all(); notin, startswith and
 * endswith are accepted; white space is space and tab. != and "not in" hold where the label is
 * absent. (projectcalico.org/v3 EntityRule.selector; Kubernetes meta/v1 LabelSelector.)
 *
 * A tree is immutable and lives in the arena it was made in; keys and values are copied. It is
 * made normal as it is built: && and || are flattened, their operands sorted and each kept
 * once, sets likewise, `!!x` is x, `k == v` is `k in {v}`, `!(k in s)` is `k not in s`, all()
 * and its negation are folded. So equal texts mean equal selectors; the reverse holds for
 * these equivalences only.
 *
 * Errors: -EINVAL with the position (counted from 1) in err, -E2BIG beyond the limits.
 */
#ifndef MARGAY_MODEL_SELECTOR_H
#define MARGAY_MODEL_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct err;

#define SELECTOR_TEXT_MAX 1024 /* bytes of an expression, as Calico's fields */
#define SELECTOR_KEY_MAX 512
#define SELECTOR_DEPTH_MAX 32 /* parentheses and negations */

/* What global() asks: that this label is absent. */
#define LABEL_NAMESPACE "projectcalico.org/namespace"

enum selector_op {
	SELECTOR_ALL,
	SELECTOR_NONE, /* !all() */
	SELECTOR_GLOBAL,
	SELECTOR_HAS,	      /* key */
	SELECTOR_IN,	      /* key, values (one: ==) */
	SELECTOR_NOT_IN,      /* key, values (one: !=); also where the key is absent */
	SELECTOR_CONTAINS,    /* key, values[0] */
	SELECTOR_STARTS_WITH, /* key, values[0] */
	SELECTOR_ENDS_WITH,   /* key, values[0] */
	SELECTOR_NOT,	      /* kids[0] */
	SELECTOR_AND,	      /* kids, at least two */
	SELECTOR_OR,	      /* kids, at least two */
};

struct selector {
	enum selector_op op;
	unsigned int count; /* of values or kids */
	const char *key;
	union {
		const char **values;
		const struct selector **kids;
	};
};

int selector_parse(struct arena *arena, const char *text, const struct selector **ret_selector,
		   struct err *err);

/* Builders. values and kids are borrowed for the call; the kids' trees must live as long. */
const struct selector *selector_all(void);
const struct selector *selector_none(void);
const struct selector *selector_has(struct arena *arena, const char *key);
const struct selector *selector_in(struct arena *arena, const char *key, const char *const *values,
				   size_t count);
const struct selector *selector_not(struct arena *arena, const struct selector *kid);
const struct selector *selector_join(struct arena *arena, enum selector_op op,
				     const struct selector *const *kids, size_t count);
const struct selector *selector_and(struct arena *arena, const struct selector *a,
				    const struct selector *b);

/* One test of a key and a text: CONTAINS, STARTS_WITH or ENDS_WITH. */
const struct selector *selector_text_test(struct arena *arena, enum selector_op op, const char *key,
					  const char *value);

/* The same tree, copied, with prefix before every key ("pcns." for namespaceSelector).
 * global() stays. */
const struct selector *selector_prefixed(struct arena *arena, const struct selector *selector,
					 const char *prefix);

/* Canonical text, parses back to an equal tree. In the arena. */
const char *selector_text(struct arena *arena, const struct selector *selector);

/* Order of trees; 0: equal. */
int selector_cmp(const struct selector *a, const struct selector *b);

/* The value of a label, NULL: absent. */
typedef const char *(*selector_lookup)(void *ctx, const char *key);

bool selector_eval(const struct selector *selector, selector_lookup lookup, void *ctx);

#endif
