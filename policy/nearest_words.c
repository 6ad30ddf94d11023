/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/selector.h"
#include "policy/nearest.h"
#include "policy/suppose.h"

#define LISTED_MAX 8 /* of ports and nets; the rest is counted */

static const char *end_name(const struct supposed_need *need)
{
	return need->dst ? "destination" : "source";
}

static const char *what_name(enum suppose_what what)
{
	switch (what) {
	case SUPPOSE_PROTOCOL:
		return "protocol";
	case SUPPOSE_ICMP:
		return "icmp";
	case SUPPOSE_PORT:
		return "port";
	case SUPPOSE_ENDPOINT:
		return "endpoint";
	case SUPPOSE_NAMESPACE:
		return "namespace";
	case SUPPOSE_ACCOUNT:
		return "service account";
	case SUPPOSE_LABEL:
		return "label";
	case SUPPOSE_ADDRESS:
		return "address";
	case SUPPOSE_SERVICE:
		return "service";
	case SUPPOSE_MAX:
		break;
	}
	return "";
}

/* --- protocol, ICMP ------------------------------------------------------------------------ */

static void put_proto(FILE *out, int proto)
{
	static const struct {
		int number;
		const char *name;
	} known[] = { { IPPROTO_TCP, "TCP" },
		      { IPPROTO_UDP, "UDP" },
		      { IPPROTO_SCTP, "SCTP" },
		      { IPPROTO_ICMP, "ICMP" },
		      { IPPROTO_ICMPV6, "ICMPv6" } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].number == proto) {
			fputs(known[i].name, out);
			return;
		}
	fprintf(out, "%d", proto);
}

static void put_protocol(FILE *out, uint8_t proto)
{
	fputs("protocol ", out);
	put_proto(out, proto);
}

static void put_icmp(FILE *out, const struct supposed_need *need)
{
	const struct rule *rule = need->rule;
	bool asked = rule->icmp_type != RULE_ANY;
	int type = asked ? rule->icmp_type : rule->not_icmp_type;
	int code = asked ? rule->icmp_code : rule->not_icmp_code;

	fprintf(out, "%s type %d", asked == need->holds ? "ICMP" : "ICMP other than", type);
	if (code != RULE_ANY)
		fprintf(out, " code %d", code);
}

/* --- ports, nets --------------------------------------------------------------------------- */

static void put_between(FILE *out, unsigned int i, unsigned int count)
{
	if (i)
		fputs(i + 1 == count ? " or " : ", ", out);
}

static void put_more(FILE *out, unsigned int count)
{
	if (count > LISTED_MAX)
		fprintf(out, " (and %u more)", count - LISTED_MAX);
}

static void put_ports(FILE *out, const struct rule_ports *ports)
{
	for (unsigned int i = 0; i < ports->count && i < LISTED_MAX; i++) {
		const struct rule_port *port = &ports->port[i];

		put_between(out, i, ports->count);
		if (port->name)
			fputs(port->name, out);
		else if (port->first == port->last)
			fprintf(out, "%u", port->first);
		else
			fprintf(out, "%u-%u", port->first, port->last);
	}
	put_more(out, ports->count);
}

static void put_port(FILE *out, const struct supposition *s, const struct supposed_need *need)
{
	const struct rule_end *end = need->end;
	const char *which = need->dst ? "port" : "source port";

	if (!need->holds) {
		fprintf(out, "another %s, such as %u", which, s->end[need->dst].port);
		return;
	}
	if (end->service)
		fprintf(out, "a port of service %s", end->service);
	if (end->ports.count) {
		fprintf(out, "%s ", which);
		put_ports(out, &end->ports);
	}
	if (end->not_ports.count) {
		fprintf(out, end->ports.count ? " but not " : "a %s other than ", which);
		put_ports(out, &end->not_ports);
	}
}

static void put_nets(FILE *out, const struct rule_nets *nets)
{
	char text[PREFIX_TEXT_MAX];

	for (unsigned int i = 0; i < nets->count && i < LISTED_MAX; i++) {
		put_between(out, i, nets->count);
		fputs(prefix_format(&nets->net[i], text), out);
	}
	put_more(out, nets->count);
}

static void put_address(FILE *out, const struct supposition *s, const struct supposed_need *need)
{
	const struct rule_end *end = need->end;
	char text[ADDR_TEXT_MAX];

	fprintf(out, "the %s ", end_name(need));
	if (!need->holds) {
		fprintf(out, "elsewhere, such as at %s",
			addr_format(&s->end[need->dst].addr, text));
		return;
	}
	if (end->nets.given) {
		fputs("in ", out);
		put_nets(out, &end->nets);
	}
	if (end->not_nets.given) {
		fputs(end->nets.given ? " but not in " : "outside of ", out);
		put_nets(out, &end->not_nets);
	}
}

/* --- labels -------------------------------------------------------------------------------- */

/* The test without its key's prefix, as people write it in a namespaceSelector. */
static const char *test_text(struct arena *arena, const struct supposed_need *need)
{
	struct selector plain = *need->test;
	size_t skip = strlen(PREFIX_NAMESPACE);

	_Static_assert(sizeof(PREFIX_NAMESPACE) == sizeof(PREFIX_SERVICE_ACCOUNT), "prefixes");
	if (!strncmp(plain.key, PREFIX_NAMESPACE, skip) ||
	    !strncmp(plain.key, PREFIX_SERVICE_ACCOUNT, skip))
		plain.key += skip;
	return selector_text(arena, need->holds ? &plain : selector_not(arena, &plain));
}

static bool names_it(const struct supposed_need *need)
{
	static const char *const keys[] = { LABEL_NAMESPACE, PREFIX_NAMESPACE TAG_NAME,
					    PREFIX_NAMESPACE TAG_METADATA_NAME, TAG_SERVICE_ACCOUNT,
					    PREFIX_SERVICE_ACCOUNT TAG_NAME };

	if (need->test->op != SELECTOR_IN && need->test->op != SELECTOR_NOT_IN)
		return false;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(need->test->key, keys[i]))
			return true;
	return false;
}

static void put_values(FILE *out, const struct selector *test)
{
	for (unsigned int i = 0; i < test->count && i < LISTED_MAX; i++) {
		put_between(out, i, test->count);
		fputs(test->values[i], out);
	}
	put_more(out, test->count);
}

static void put_owner(FILE *out, struct arena *arena, const struct supposed_need *need,
		      const char *what)
{
	bool in = (need->test->op == SELECTOR_IN) == need->holds;

	if (!names_it(need)) {
		fprintf(out, "a %s with %s at the %s", what, test_text(arena, need),
			end_name(need));
		return;
	}
	fprintf(out, "%s%s ", in ? "" : "not ", what);
	put_values(out, need->test);
	fprintf(out, " at the %s", end_name(need));
}

/* --- all ----------------------------------------------------------------------------------- */

static void put_need(FILE *out, struct arena *arena, const struct supposition *s,
		     const struct supposed_need *need)
{
	switch (need->what) {
	case SUPPOSE_PROTOCOL:
		put_protocol(out, s->proto);
		return;
	case SUPPOSE_ICMP:
		put_icmp(out, need);
		return;
	case SUPPOSE_PORT:
		put_port(out, s, need);
		return;
	case SUPPOSE_ENDPOINT:
		fprintf(out, "a %s%s at the %s", need->holds ? "" : "stranger, not a ",
			need->test ? "pod" : "known endpoint", end_name(need));
		return;
	case SUPPOSE_NAMESPACE:
		put_owner(out, arena, need, "namespace");
		return;
	case SUPPOSE_ACCOUNT:
		put_owner(out, arena, need, "service account");
		return;
	case SUPPOSE_LABEL:
		fprintf(out, "label %s on the %s", test_text(arena, need), end_name(need));
		return;
	case SUPPOSE_ADDRESS:
		put_address(out, s, need);
		return;
	case SUPPOSE_SERVICE:
		fprintf(out, "the %s of service %s", end_name(need), need->end->service);
		return;
	case SUPPOSE_MAX:
		break;
	}
}

static const char *need_text(struct arena *arena, const struct supposition *s,
			     const struct supposed_need *need)
{
	char *text = NULL;
	const char *kept;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	put_need(out, arena, s, need);
	fclose(out);
	kept = arena_strdup(arena, text);
	free(text);
	return kept;
}

/* Known by its labels; or said before. */
static bool is_said(const struct nearest *nearest, const struct supposition *s,
		    const struct supposed_need *need, const char *text)
{
	for (unsigned int i = 0; need->what == SUPPOSE_ENDPOINT && i < s->need_count; i++)
		if (s->need[i].dst == need->dst && s->need[i].what > SUPPOSE_ENDPOINT &&
		    s->need[i].what < SUPPOSE_ADDRESS)
			return true;
	for (unsigned int i = 0; i < nearest->need_count; i++)
		if (!strcmp(nearest->need[i].text, text))
			return true;
	return false;
}

void nearest_words(struct arena *arena, const struct supposition *s, struct nearest *nearest)
{
	nearest->text = "";
	nearest->need_count = 0;
	nearest->need = arena_array(arena, s->need_count, sizeof(*nearest->need));
	for (unsigned int i = 0; i < s->need_count; i++) {
		const struct supposed_need *need = &s->need[i];
		const char *text = need_text(arena, s, need);

		if (is_said(nearest, s, need, text))
			continue;
		nearest->text = arena_printf(arena, "%s%s%s", nearest->text,
					     nearest->need_count ? " and " : "", text);
		nearest->need[nearest->need_count++] = (struct nearest_need){
			.what = what_name(need->what),
			.end = need->what >= SUPPOSE_PORT ? end_name(need) : NULL,
			.text = text,
		};
	}
}
