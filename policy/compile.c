/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile.h"

#include <string.h>

#include "policy/digest.h"

/* --- evaluation ---------------------------------------------------------------------------- */

static bool base_is4(enum ident_base base)
{
	return base == BASE_WORLD4 || base == BASE_UNKNOWN4;
}

static bool matches(const struct far_rule *rule, const struct ident *ident)
{
	enum ident_base base = ident->key.base;

	if (!(rule->families & (base_is4(base) ? FAMILY_4 : FAMILY_6)))
		return false;
	if (rule->labels && base_unknown(base))
		return false;
	for (int i = 0; i < FAR_WANTS; i++)
		if (rule->want[i] && !ident_has(ident, rule->want[i]))
			return false;
	for (int i = 0; i < 2; i++)
		if (rule->avoid[i] && ident_has(ident, rule->avoid[i]))
			return false;
	return true;
}

static void push_entries(struct compiler *c, unsigned int list, const struct truth *truth,
			 const struct atom *atom)
{
	uint32_t i = truth_find(truth, atom->index);

	for (; i < truth->count && truth_atom(truth->entry[i]) == atom->index; i++)
		vec_push(&c->value[list], (uint32_t)truth->entry[i]);
}

/* The near end's values, out of the near key. */
static struct port_values near_values(const struct cpol *cpol, const struct far_rule *rule)
{
	const uint32_t *at = cpol->near.v + rule->near_at;

	if (!cpol->near.n)
		return (struct port_values){};
	return (struct port_values){ .ports = at + 2,
				     .port_count = at[1],
				     .not_ports = at + 3 + at[1],
				     .not_port_count = at[2 + at[1]] };
}

/* The rule's match of ports for an identity (NULL: for none in particular). */
struct pm *cpol_rule_pm(struct compiler *c, const struct cpol *cpol, uint32_t i,
			const struct ident *ident)
{
	const struct far_rule *rule = &cpol->rule.v[i];
	bool in = cpol->direction == POLICY_IN;
	const struct rule_end *end = in ? &rule->rule->src : &rule->rule->dst;
	struct rule_values values = {};
	struct port_values *far = in ? &values.src : &values.dst;
	uint32_t atom = rule->first;

	for (int list = 0; list < 3; list++)
		c->value[list].n = 0;
	for (unsigned int k = 0; ident && k < end->ports.count; k++)
		if (end->ports.port[k].name)
			push_entries(c, 0, ident->key.facts, cpol->atom.v[atom++]);
	for (unsigned int k = 0; ident && k < end->not_ports.count; k++)
		if (end->not_ports.port[k].name)
			push_entries(c, 1, ident->key.facts, cpol->atom.v[atom++]);
	if (ident && rule->want[FAR_SERVICE])
		push_entries(c, 2, ident->key.nets, rule->want[FAR_SERVICE]);
	*(in ? &values.dst : &values.src) = near_values(cpol, rule);
	*far = (struct port_values){ c->value[0].v, c->value[0].n, c->value[1].v, c->value[1].n };
	values.service = c->value[2].v;
	values.service_count = c->value[2].n;
	return pm_make(&c->pms, rule->rule, &values);
}

/* The step that a matching rule adds. */
static uint32_t rule_step(struct compiler *c, struct cpol *cpol, uint32_t i,
			  const struct ident *ident)
{
	struct pm *pm;

	if (!cpol->rule.v[i].valued)
		return i;
	pm = cpol_rule_pm(c, cpol, i, ident);
	for (size_t k = cpol->rule.n; k < cpol->step.n; k++) {
		if (cpol->step.v[k].rule != i || cpol->step.v[k].pm != pm)
			continue;
		pm_unref(&c->pms, pm);
		return k;
	}
	vec_push(&cpol->step, (struct far_step){ i, pm });
	return cpol->step.n - 1;
}

/* What a list says that ends with this rule. */
static uint32_t list_flags(uint32_t before, const struct far_step *step, enum rule_action action)
{
	uint32_t passes = before & CHAIN_PASSES;

	switch (action) {
	case RULE_ALLOW:
	case RULE_DENY:
		/* What passed on the way is not decided by a rule of this tier. */
		if (step->pm->whole)
			return passes ? passes | CHAIN_PASSED : CHAIN_CLOSED;
		return passes;
	case RULE_PASS:
		return CHAIN_PASSES | (step->pm->whole ? CHAIN_PASSED : 0);
	case RULE_LOG:
		break;
	}
	return passes;
}

/* The list with this rule behind it, where it matches and can still matter. */
static uint32_t extend(struct compiler *c, struct cpol *cpol, uint32_t list, uint32_t i,
		       const struct ident *ident)
{
	const struct far_rule *rule = &cpol->rule.v[i];
	uint32_t step, before = cpol->chain.node.v[list].flags;
	bool is_new;

	if (before & CHAIN_FULL || !matches(rule, ident))
		return list;
	step = rule_step(c, cpol, i, ident);
	list = chain_child(&cpol->chain, list, step, &is_new);
	if (is_new)
		cpol->chain.node.v[list].flags =
			list_flags(before, &cpol->step.v[step], rule->rule->action);
	return list;
}

/* --- all identities, or the new ones ------------------------------------------------------- */

static void candidates(struct compiler *c, struct cpol *cpol)
{
	c->candidate.n = 0;
	for (size_t i = 0; i < cpol->atom.n; i++) {
		struct atom *atom = cpol->atom.v[i];
		size_t n = cpol->compiled ? atom->new_identities.n : atom->identities.n;
		const uint16_t *v = cpol->compiled ? atom->new_identities.v : atom->identities.v;

		for (size_t k = 0; k < n; k++) {
			if (c->marked[v[k]])
				continue;
			c->marked[v[k]] = 1;
			c->acc[v[k]] = CHAIN_ROOT;
			vec_push(&c->candidate, v[k]);
		}
	}
}

/* The wanted atom that is true of the fewest; NULL: the rule wants none. */
static const struct atom *narrowest(const struct cpol *cpol, const struct far_rule *rule)
{
	const struct atom *best = NULL;

	for (int i = 0; i < FAR_WANTS; i++) {
		const struct atom *atom = rule->want[i];

		if (!atom)
			continue;
		if (!best || (cpol->compiled ? atom->new_identities.n < best->new_identities.n
					     : atom->identities.n < best->identities.n))
			best = atom;
	}
	return best;
}

static void run_rule(struct compiler *c, struct cpol *cpol, uint32_t i)
{
	const struct atom *atom = narrowest(cpol, &cpol->rule.v[i]);
	const uint16_t *v = c->candidate.v;
	size_t n = c->candidate.n;

	if (atom) {
		n = cpol->compiled ? atom->new_identities.n : atom->identities.n;
		v = cpol->compiled ? atom->new_identities.v : atom->identities.v;
	}
	for (size_t k = 0; k < n; k++) {
		struct ident *ident = ident_get(c->idents, v[k]);

		if (ident)
			c->acc[v[k]] = extend(c, cpol, c->acc[v[k]], i, ident);
	}
	if (atom || cpol->compiled)
		return;
	for (int base = 0; base < BASE_MAX; base++)
		cpol->rest[base] = extend(c, cpol, cpol->rest[base], i, ident_get(c->idents, base));
}

static int list_cmp(const void *a, const void *b)
{
	return (int)((const struct far_list *)a)->identity -
	       (int)((const struct far_list *)b)->identity;
}

/* Numbers come back into use: what was known of a former owner goes. */
static void forget(struct compiler *c, struct cpol *cpol)
{
	size_t n = 0;

	for (size_t i = 0; i < c->idents->fresh.n; i++)
		c->marked[c->idents->fresh.v[i]] |= 2;
	for (size_t i = 0; i < cpol->list.n; i++)
		if (!(c->marked[cpol->list.v[i].identity] & 2))
			cpol->list.v[n++] = cpol->list.v[i];
	cpol->list.n = n;
	for (size_t i = 0; i < c->idents->fresh.n; i++)
		c->marked[c->idents->fresh.v[i]] &= ~2;
}

static void keep(struct compiler *c, struct cpol *cpol)
{
	for (size_t i = 0; i < c->candidate.n; i++) {
		uint16_t n = c->candidate.v[i];
		const struct ident *ident = ident_get(c->idents, n);

		c->marked[n] = 0;
		if (ident && n >= BASE_MAX && c->acc[n] != cpol->rest[ident->key.base])
			vec_push(&cpol->list, (struct far_list){ n, c->acc[n] });
	}
	if (c->candidate.n && cpol->list.n)
		qsort(cpol->list.v, cpol->list.n, sizeof(*cpol->list.v), list_cmp);
}

void cpol_compile(struct compiler *c, struct cpol *cpol)
{
	if (cpol->both || (cpol->compiled && !c->idents->fresh.n))
		return;
	if (cpol->compiled)
		forget(c, cpol);
	candidates(c, cpol);
	if (!cpol->compiled || c->candidate.n)
		for (uint32_t i = 0; i < cpol->rule.n; i++)
			run_rule(c, cpol, i);
	keep(c, cpol);
	cpol->compiled = true;
}

uint32_t cpol_list(const struct cpol *cpol, const struct ident *ident)
{
	size_t low = 0, high = cpol->list.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (cpol->list.v[mid].identity < ident->num.number)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < cpol->list.n && cpol->list.v[low].identity == ident->num.number)
		return cpol->list.v[low].list;
	return cpol->rest[ident->key.base];
}

/* --- making -------------------------------------------------------------------------------- */

static struct cpol *cpol_make(struct compiler *c, struct policy *policy,
			      enum policy_direction direction, near_key *near, bool both)
{
	struct cpol *cpol = xcalloc(1, sizeof(*cpol));

	cpol->refs = 1;
	cpol->serial = ++c->serial;
	cpol->policy = policy_ref(policy);
	cpol->direction = direction;
	cpol->both = both;
	memcpy(&cpol->near, near, sizeof(*near));
	memset(near, 0, sizeof(*near));
	chain_init(&cpol->chain);
	content_policy(&c->text, policy, direction);
	for (size_t i = 0; i < cpol->near.n; i++)
		for (size_t k = 0; k < sizeof(*cpol->near.v); k++)
			vec_push(&c->text, (char)(cpol->near.v[i] >> 8 * k));
	if (both)
		vec_push(&c->text, 'b');
	digest_of(c->text.v, c->text.n, &cpol->digest);
	cpol_make_rules(c, cpol);
	return cpol;
}

/* Takes the key over. */
static struct cpol *cpol_of(struct compiler *c, struct policy *policy,
			    enum policy_direction direction, near_key *key, bool both)
{
	uint32_t hash = hash_u64((uintptr_t)policy, direction);
	struct hnode *node;
	struct cpol *cpol;

	for (node = hmap_first(&c->by_policy, hash); node; node = hmap_same(node)) {
		cpol = (struct cpol *)node;
		if (cpol->policy != policy || cpol->direction != direction || cpol->both != both ||
		    cpol->near.n != key->n ||
		    (key->n && memcmp(cpol->near.v, key->v, key->n * sizeof(*key->v))))
			continue;
		vec_done(key);
		return cpol_ref(cpol);
	}
	cpol = cpol_make(c, policy, direction, key, both);
	hmap_add(&c->by_policy, &cpol->node, hash);
	return cpol;
}

struct cpol *cpol_get(struct compiler *c, struct policy *policy, enum policy_direction direction,
		      const struct near_end *near)
{
	near_key key = {};

	if (near)
		near_key_make(policy, direction, near, &key);
	return cpol_of(c, policy, direction, &key, false);
}

struct cpol *cpol_get_both(struct compiler *c, struct policy *policy,
			   enum policy_direction direction)
{
	near_key key = {};

	return cpol_of(c, policy, direction, &key, true);
}

/* As near_key_make() has it: how many, then the numbers of the ports with a name. */
static void push_near_values(struct compiler *c, const struct cpol *cpol,
			     const struct rule_ports *ports, uint32_t *atom,
			     const struct ident *near, near_key *key)
{
	c->value[0].n = 0;
	for (unsigned int i = 0; i < ports->count; i++)
		if (ports->port[i].name)
			push_entries(c, 0, near->key.facts, cpol->atom.v[(*atom)++]);
	vec_push(key, (uint32_t)c->value[0].n);
	for (size_t i = 0; i < c->value[0].n; i++)
		vec_push(key, c->value[0].v[i]);
}

struct cpol *cpol_variant(struct compiler *c, struct cpol *both, const struct ident *near)
{
	uint32_t family = base_is4(near->key.base) ? FAMILY_4 : FAMILY_6;
	struct cpol *cpol;
	near_key key = {};

	for (size_t i = 0; i < both->near_rule.n; i++) {
		const struct far_rule *rule = &both->near_rule.v[i];
		const struct rule_end *end =
			both->direction == POLICY_IN ? &rule->rule->dst : &rule->rule->src;
		uint32_t atom = rule->first;

		vec_push(&key, matches(rule, near) ? family : 0);
		push_near_values(c, both, &end->ports, &atom, near, &key);
		push_near_values(c, both, &end->not_ports, &atom, near, &key);
	}
	cpol = cpol_of(c, both->policy, both->direction, &key, false);
	cpol_compile(c, cpol);
	return cpol;
}

struct cpol *cpol_ref(struct cpol *cpol)
{
	cpol->refs++;
	return cpol;
}

void cpol_unref(struct compiler *c, struct cpol *cpol)
{
	if (!cpol || --cpol->refs)
		return;
	hmap_del(&c->by_policy, &cpol->node);
	for (size_t i = 0; i < cpol->atom.n; i++)
		atom_unref(c->atoms, cpol->atom.v[i]);
	for (size_t i = 0; i < cpol->rule.n; i++)
		number_unref(&c->tables->rules, &cpol->rule.v[i].number->num);
	for (size_t i = 0; i < cpol->step.n; i++)
		pm_unref(&c->pms, cpol->step.v[i].pm);
	vec_done(&cpol->rule);
	vec_done(&cpol->near_rule);
	vec_done(&cpol->atom);
	vec_done(&cpol->step);
	vec_done(&cpol->list);
	vec_done(&cpol->near);
	chain_done(&cpol->chain);
	policy_unref(cpol->policy);
	free(cpol);
}

void compiler_init(struct compiler *c, struct atoms *atoms, struct idents *idents,
		   struct tables *tables)
{
	*c = (struct compiler){ .atoms = atoms, .idents = idents, .tables = tables };
	c->acc = xcalloc(65536, sizeof(*c->acc));
	c->marked = xcalloc(65536, sizeof(*c->marked));
}

void compiler_done(struct compiler *c)
{
	hmap_done(&c->by_policy);
	pms_done(&c->pms);
	free(c->acc);
	free(c->marked);
	vec_done(&c->candidate);
	for (int i = 0; i < 3; i++)
		vec_done(&c->value[i]);
	vec_done(&c->text);
}
