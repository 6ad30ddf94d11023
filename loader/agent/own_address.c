/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/own_address.h"

#include <errno.h>
#include <string.h>

#include "agent/node.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/log.h"

/* One of the two families. */
struct own {
	struct detect **detect; /* NULL behind it: given, or none */
	union mg_addr *addr;
	unsigned int *bits;
	bool v6;
};

static struct own own_of(struct agent *agent, bool v6)
{
	return v6 ? (struct own){ &agent->detect6, &agent->own6, &agent->own6_bits, true }
		  : (struct own){ &agent->detect4, &agent->own4, &agent->own4_bits, false };
}

/* --- settings ------------------------------------------------------------------------------- */

static const char *setting(bool v6)
{
	return v6 ? "ipv6" : "ipv4";
}

/* An address: with its length, or with the one of the interface that has it. */
static int given(struct agent *agent, const char *text, struct own *own, struct err *err)
{
	struct net_addr found;
	struct mg_prefix prefix;
	int r = 0;

	if (prefix_parse(text, true, &prefix) < 0)
		return -ENOENT;
	if (prefix_is4(&prefix) == own->v6)
		return err_set(err, -EINVAL, "%s: \"%s\" is of the other family", setting(own->v6),
			       text);
	*own->addr = prefix.addr;
	*own->bits = prefix_bits(&prefix);
	if (strchr(text, '/'))
		return 0;
	r = detect_length(agent->net, own->addr, &found, err);
	if (!r)
		*own->bits = found.bits;
	return r;
}

static int read_method(struct agent *agent, const char *method, struct own *own, struct err *err)
{
	int r = detect_parse(method, own->detect, err);

	if (r < 0)
		return err_wrap(err, r, "%s", setting(own->v6));
	if (detect_needs_node(*own->detect) && !store_is_cluster(agent->store))
		return err_set(err, -EINVAL, "%s: %s: the datastore is no cluster's",
			       setting(own->v6), method);
	return 0;
}

/* How a family's address is found, where none is given. */
static const char *method_of(const struct agent_config *config, bool v6)
{
	const char *text = v6 ? config->ip6 : config->ip4;

	if (strcmp(text, "autodetect") != 0)
		return text;
	return v6 ? config->ip6_method : config->ip4_method;
}

static int read_setting(struct agent *agent, bool v6, struct err *err)
{
	const char *text = v6 ? agent->config.ip6 : agent->config.ip4;
	struct own own = own_of(agent, v6);
	int r;

	if (!strcmp(text, "none"))
		return 0;
	r = given(agent, text, &own, err);
	if (r != -ENOENT)
		return r;
	return read_method(agent, method_of(&agent->config, v6), &own, err);
}

/* --- finding -------------------------------------------------------------------------------- */

static int find(struct agent *agent, bool v6, struct err *err)
{
	struct own own = own_of(agent, v6);
	const struct detect_ask ask = { .sock = agent->net,
					.v6 = v6,
					.internal = agent->internal[v6] };
	struct net_addr found;
	int r;

	if (!*own.detect)
		return 0;
	r = detect_address(*own.detect, &ask, &found, err);
	if (r < 0)
		return r;
	*own.addr = found.addr;
	*own.bits = found.bits;
	return 0;
}

/* A host of one family has no address of the other: that is worth a word only where somebody asked
 * for one by more than the built-in value. */
static void say_nothing_found(const struct agent *agent, bool v6, const struct err *err)
{
	if (strcmp(method_of(&agent->config, v6), "first-found") != 0)
		log_warning("no address found", "family", v6 ? "6" : "4", "why", err->text, NULL);
}

static int find_at_start(struct agent *agent, bool v6, struct err *err)
{
	int r = find(agent, v6, err);

	if (r != -ENOENT)
		return r;
	say_nothing_found(agent, v6, err);
	return 0;
}

/* The first of each family; the rest of the list is no news. */
static void read_internal(const json_t *node, union mg_addr internal[2])
{
	const json_t *list = json_at(node, "status.addresses"), *item;
	size_t i;

	memset(internal, 0, 2 * sizeof(*internal));
	json_array_foreach((json_t *)list, i, item) {
		union mg_addr addr;

		if (strcmp(json_text_or(item, "type", ""), "InternalIP") != 0 ||
		    addr_parse(json_text_or(item, "address", ""), &addr) < 0)
			continue;
		if (addr_is_zero(&internal[!addr_is4(&addr)]))
			internal[!addr_is4(&addr)] = addr;
	}
}

static bool asks_node(const struct agent *agent)
{
	return (agent->detect4 && detect_needs_node(agent->detect4)) ||
	       (agent->detect6 && detect_needs_node(agent->detect6));
}

static int read_node(struct agent *agent, struct err *err)
{
	const struct store_key key = node_key(agent);
	_cleanup_json_ json_t *node = NULL;
	int r = store_get(agent->store, &key, &node, err);

	if (!r)
		read_internal(node, agent->internal);
	return r == -ENOENT ? 0 : r;
}

int own_address_start(struct agent *agent, struct err *err)
{
	int r = read_setting(agent, false, err);

	if (!r)
		r = read_setting(agent, true, err);
	if (!r && asks_node(agent))
		r = read_node(agent, err);
	if (!r)
		r = find_at_start(agent, false, err);
	if (!r)
		r = find_at_start(agent, true, err);
	if (r < 0)
		return r;
	if (addr_is_zero(&agent->own4) && addr_is_zero(&agent->own6))
		return err_set(err, -EADDRNOTAVAIL,
			       "no address found: name one with --ipv4 or --ipv6, or another way "
			       "to find one with --ipv4-method or --ipv6-method");
	return 0;
}

void own_address_stop(struct agent *agent)
{
	detect_free(agent->detect4);
	detect_free(agent->detect6);
}

/* --- while running -------------------------------------------------------------------------- */

static void say_address(bool v6, const union mg_addr *before, const union mg_addr *now)
{
	char old[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX];

	log_info("this node's address changed", "family", v6 ? "6" : "4", "from",
		 addr_is_zero(before) ? "none" : addr_format(before, old), "to",
		 addr_format(now, text), NULL);
}

static bool look(struct agent *agent, bool v6)
{
	const struct own own = own_of(agent, v6);
	const union mg_addr before = *own.addr;
	const unsigned int bits = *own.bits;
	struct err err;
	int r = find(agent, v6, &err);

	if (r < 0 && r != -ENOENT)
		log_warning("this node's addresses", "why", err.text, NULL);
	if (addr_cmp(&before, own.addr))
		say_address(v6, &before, own.addr);
	return addr_cmp(&before, own.addr) || bits != *own.bits;
}

/* An address that went without another in its place stays ours: a link may only flap. */
bool own_address_look(struct agent *agent)
{
	bool changed4 = look(agent, false);

	return look(agent, true) || changed4;
}

bool own_address_node(struct agent *agent, const json_t *node)
{
	union mg_addr internal[2];

	read_internal(node, internal);
	if (!memcmp(internal, agent->internal, sizeof(internal)))
		return false;
	memcpy(agent->internal, internal, sizeof(internal));
	return asks_node(agent);
}
