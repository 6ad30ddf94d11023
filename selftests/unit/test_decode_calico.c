/* SPDX-License-Identifier: Apache-2.0 */
/* Calico's policies as structs: defaults, inference, and what becomes of bad rules. */
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/calico.h"
#include "selftests/lib/decode.h"

#define HEAD                                                                                       \
	"apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n"                                  \
	"metadata: {name: p, namespace: shop}\nspec: "

static void test_defaults(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		HEAD "{ingress: [{action: Allow}], tier: '', selector: ''}\n", DECODE_STRICT);
	const struct calico_policy *policy = calico_policy_of(object);
	const struct calico_rule *rule = policy->ingress.v;

	(void)state;
	assert_string_equal(policy->tier, "default");
	assert_true(isinf(policy->order));
	assert_null(policy->selector);
	assert_null(policy->accounts);
	assert_int_equal(rule->action, CALICO_ALLOW);
	assert_int_equal(rule->protocol, CALICO_ANY);
	assert_int_equal(rule->not_protocol, CALICO_ANY);
	assert_int_equal(rule->icmp.type, CALICO_ANY);
	assert_int_equal(rule->not_icmp.code, CALICO_ANY);
	assert_int_equal(rule->ip_version, 0);
	assert_null(rule->source.selector);
	assert_null(rule->source.service.name);
	assert_false(rule->inert);
}

static void test_rule(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		HEAD "\n  order: 10.5\n  egress:\n"
		     "  - {action: pass, protocol: icmpv6, icmp: {type: 128},\n"
		     "     notICMP: {type: 1, code: 0}, metadata: {annotations: {b: x, a: w}}}\n"
		     "  - action: Log\n"
		     "    protocol: 17\n"
		     "    source: {ports: [53, '80:90', dns], notNets: [10.1.2.3/8]}\n"
		     "    destination:\n"
		     "      serviceAccounts: {names: [a, b], selector: x == 'y'}\n"
		     "      namespaceSelector: global()\n"
		     "      notSelector: has(z)\n",
		DECODE_STRICT);
	const struct calico_rule *rule = calico_policy_of(object)->egress.v;

	(void)state;
	assert_true(calico_policy_of(object)->order == 10.5);
	assert_int_equal(rule->action, CALICO_PASS);
	assert_int_equal(rule->protocol, IPPROTO_ICMPV6);
	assert_int_equal(rule->icmp.type, 128);
	assert_int_equal(rule->icmp.code, CALICO_ANY);
	assert_int_equal(rule->not_icmp.code, 0);
	assert_int_equal(rule->annotations.count, 2);
	assert_string_equal(rule->annotations.v[0].value, "w");
	rule++;
	assert_int_equal(rule->index, 1);
	assert_int_equal(rule->protocol, IPPROTO_UDP);
	assert_int_equal(rule->source.port_count, 3);
	assert_int_equal(rule->source.ports[0].last, 53);
	assert_int_equal(rule->source.ports[1].first, 80);
	assert_int_equal(rule->source.ports[1].last, 90);
	assert_string_equal(rule->source.ports[2].name, "dns");
	assert_prefix(rule->source.not_nets, "10.0.0.0/8");
	assert_int_equal(rule->destination.accounts.count, 2);
	assert_selector(rule->destination.accounts.selector, "x == \"y\"");
	assert_int_equal(rule->destination.namespaces->op, SELECTOR_GLOBAL);
	assert_selector(rule->destination.not_selector, "has(z)");
}

static void test_types(void **state)
{
	static const struct {
		const char *spec;
		unsigned int want;
	} cases[] = {
		{ "{}", CALICO_INGRESS },
		{ "{ingress: [], egress: []}", CALICO_INGRESS },
		{ "{ingress: [{action: Allow}]}", CALICO_INGRESS },
		{ "{egress: [{action: Allow}]}", CALICO_EGRESS },
		{ "{egress: [{action: Allow, protocol: 0}]}", CALICO_EGRESS }, /* dropped */
		{ "{egress: [{action: Allow}], ingress: [{action: Allow}]}",
		  CALICO_INGRESS | CALICO_EGRESS },
		{ "{types: [Egress], ingress: [{action: Allow}]}", CALICO_EGRESS },
		{ "{types: [Egress, Ingress]}", CALICO_INGRESS | CALICO_EGRESS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *yaml = xasprintf(HEAD "%s\n", cases[i].spec);
		_cleanup_object_ struct object *object = decode_yaml(yaml, DECODE_LENIENT);

		assert_int_equal(calico_policy_of(object)->types, cases[i].want);
	}
}

/* An allow rule and a log rule go; deny, pass and what may have been one close their direction,
 * at their place. */
static void test_bad_rules(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		HEAD "\n  ingress:\n"
		     "  - {action: Allow, source: {nets: [x]}}\n"
		     "  - {action: Log, source: {nets: [x]}}\n"
		     "  - {action: Deny, protocol: TCP, source: {nets: [x], selector: a == 'b'}}\n"
		     "  - {action: Allow}\n"
		     "  - {action: Pass, protocol: 0}\n"
		     "  - {action: Reject, protocol: TCP}\n",
		DECODE_LENIENT);
	const struct calico_policy *policy = calico_policy_of(object);
	static const unsigned int places[] = { 2, 3, 4, 5 };

	(void)state;
	assert_int_equal(policy->ingress.count, 4);
	for (size_t i = 0; i < 4; i++) {
		const struct calico_rule *rule = &policy->ingress.v[i];

		assert_int_equal(rule->index, places[i]);
		assert_int_equal(rule->action, i == 1 ? CALICO_ALLOW : CALICO_DENY);
		assert_int_equal(rule->protocol, CALICO_ANY);
		assert_null(rule->source.selector);
		assert_int_equal(rule->source.net_count, 0);
	}
}

/* Staged policies are the same with an action. */
static void test_staged(void **state)
{
	_cleanup_object_ struct object *object =
		decode_yaml("apiVersion: projectcalico.org/v3\nkind: StagedGlobalNetworkPolicy\n"
			    "metadata: {name: p}\n"
			    "spec: {stagedAction: Learn, namespaceSelector: has(x)}\n",
			    DECODE_STRICT);
	const struct calico_policy *policy = calico_policy_of(object);

	(void)state;
	assert_int_equal(policy->staged, CALICO_LEARN);
	assert_selector(policy->namespaces, "has(x)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_rule),
		cmocka_unit_test(test_types),	 cmocka_unit_test(test_bad_rules),
		cmocka_unit_test(test_staged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
