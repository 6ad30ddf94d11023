/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/detect.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netdb.h>
#include <netinet/in.h>
#include <regex.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"

enum detect_kind {
	DETECT_FIRST,
	DETECT_INTERFACE,
	DETECT_SKIP,
	DETECT_CIDR,
	DETECT_REACH,
	DETECT_NODE,
};

static const struct {
	const char *name; /* up to the argument */
	enum detect_kind kind;
} methods[] = {
	{ "first-found", DETECT_FIRST },    { "interface=", DETECT_INTERFACE },
	{ "skip-interface=", DETECT_SKIP }, { "cidr=", DETECT_CIDR },
	{ "can-reach=", DETECT_REACH },	    { "kubernetes-internal-ip", DETECT_NODE },
};

struct detect {
	char *text;
	enum detect_kind kind;
	regex_t *patterns;
	size_t pattern_count;
	struct mg_prefix *nets;
	size_t net_count;
	union mg_addr reach[2]; /* IPv4, IPv6; zero: none */
};

/* Interfaces that carry no address of the node: what Calico's first-found leaves out, and our own
 * device. A name that ends in * is a prefix. */
static const char *const not_uplinks[] = {
	"lo",
	"docker*",
	"cbr*",
	"dummy*",
	"podman*",
	"virbr*",
	"lxcbr*",
	"veth*",
	"br-*",
	"cali*",
	"tunl*",
	"flannel*",
	"kube-ipvs*",
	"cni*",
	"vxlan.calico",
	"vxlan-v6.calico",
	"wireguard.cali",
	"wg-v6.cali",
	"nodelocaldns*",
	"margay.*",
};

/* --- methods -------------------------------------------------------------------------------- */

static int add_pattern(struct detect *detect, const char *text, struct err *err)
{
	char why[128];
	int r;

	detect->patterns =
		xrealloc(detect->patterns, detect->pattern_count + 1, sizeof(*detect->patterns));
	r = regcomp(&detect->patterns[detect->pattern_count], text, REG_EXTENDED | REG_NOSUB);
	if (!r) {
		detect->pattern_count++;
		return 0;
	}
	regerror(r, &detect->patterns[detect->pattern_count], why, sizeof(why));
	return err_set(err, -EINVAL, "%s: \"%s\" is no regular expression: %s", detect->text, text,
		       why);
}

static int add_net(struct detect *detect, const char *text, struct err *err)
{
	struct mg_prefix net;

	if (prefix_parse(text, false, &net) < 0)
		return err_set(err, -EINVAL, "%s: \"%s\" is no network", detect->text, text);
	prefix_mask(&net);
	detect->nets = xrealloc(detect->nets, detect->net_count + 1, sizeof(*detect->nets));
	detect->nets[detect->net_count++] = net;
	return 0;
}

/* Items stand between commas, with blanks around them. */
static int add_items(struct detect *detect, const char *list,
		     int (*add)(struct detect *detect, const char *text, struct err *err),
		     struct err *err)
{
	int r = 0;

	while (!r) {
		size_t size;
		_cleanup_free_ char *item = NULL;

		list += strspn(list, " \t");
		size = strcspn(list, ",");
		item = xasprintf("%.*s", (int)size, list);
		for (size_t end = size; end && strchr(" \t", item[end - 1]); end--)
			item[end - 1] = 0;
		if (!*item)
			return err_set(err, -EINVAL, "%s: an empty item", detect->text);
		r = add(detect, item, err);
		if (!list[size])
			break;
		list += size + 1;
	}
	return r;
}

static void take_resolved(struct detect *detect, const struct addrinfo *list)
{
	for (; list; list = list->ai_next) {
		bool v6 = list->ai_family == AF_INET6;
		union mg_addr *addr = &detect->reach[v6];

		if (!addr_is_zero(addr))
			continue;
		if (v6)
			memcpy(addr, &((struct sockaddr_in6 *)(void *)list->ai_addr)->sin6_addr,
			       sizeof(*addr));
		else if (list->ai_family == AF_INET)
			*addr = addr_from4(
				((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr.s_addr);
	}
}

static int resolve(struct detect *detect, const char *name, struct err *err)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *list = NULL;
	union mg_addr addr;
	int r;

	if (!addr_parse(name, &addr)) {
		detect->reach[!addr_is4(&addr)] = addr;
		return 0;
	}
	r = getaddrinfo(name, NULL, &hints, &list);
	if (r)
		return err_set(err, -EADDRNOTAVAIL, "%s: %s", detect->text, gai_strerror(r));
	take_resolved(detect, list);
	freeaddrinfo(list);
	return 0;
}

static int take_argument(struct detect *detect, const char *argument, struct err *err)
{
	switch (detect->kind) {
	case DETECT_INTERFACE:
	case DETECT_SKIP:
		return add_items(detect, argument, add_pattern, err);
	case DETECT_CIDR:
		return add_items(detect, argument, add_net, err);
	case DETECT_REACH:
		return *argument ? resolve(detect, argument, err)
				 : err_set(err, -EINVAL, "%s: names no destination", detect->text);
	case DETECT_FIRST:
	case DETECT_NODE:
		break;
	}
	return 0;
}

/* Methods with an argument are known by their beginning, the others whole. */
static bool is_method(const char *text, const char *name)
{
	size_t size = strlen(name);

	return name[size - 1] == '=' ? !strncmp(text, name, size) : !strcmp(text, name);
}

int detect_parse(const char *method, struct detect **ret_detect, struct err *err)
{
	_cleanup_detect_ struct detect *detect = xcalloc(1, sizeof(*detect));
	int r = -ENOENT;

	detect->text = xstrdup(method);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]) && r == -ENOENT; i++) {
		if (!is_method(method, methods[i].name))
			continue;
		detect->kind = methods[i].kind;
		r = take_argument(detect, method + strlen(methods[i].name), err);
	}
	if (r == -ENOENT)
		return err_set(err, -EINVAL,
			       "\"%s\" is no way to find an address: first-found, interface=, "
			       "skip-interface=, cidr=, can-reach= or kubernetes-internal-ip",
			       method);
	if (!r)
		*ret_detect = TAKE_PTR(detect);
	return r;
}

void detect_free(struct detect *detect)
{
	if (!detect)
		return;
	for (size_t i = 0; i < detect->pattern_count; i++)
		regfree(&detect->patterns[i]);
	free(detect->patterns);
	free(detect->nets);
	free(detect->text);
	free(detect);
}

bool detect_needs_node(const struct detect *detect)
{
	return detect->kind == DETECT_NODE;
}

/* --- interfaces and addresses ---------------------------------------------------------------- */

static bool names(const char *pattern, const char *name)
{
	size_t size = strlen(pattern) - 1;

	return pattern[size] == '*' ? !strncmp(name, pattern, size) : !strcmp(name, pattern);
}

static bool is_virtual(const char *name)
{
	for (size_t i = 0; i < sizeof(not_uplinks) / sizeof(not_uplinks[0]); i++) {
		if (names(not_uplinks[i], name))
			return true;
	}
	return false;
}

static bool matches(const struct detect *detect, const char *name)
{
	for (size_t i = 0; i < detect->pattern_count; i++) {
		if (!regexec(&detect->patterns[i], name, 0, NULL, 0))
			return true;
	}
	return false;
}

static bool may_have_address(const struct detect *detect, const char *name)
{
	switch (detect->kind) {
	case DETECT_FIRST:
		return !is_virtual(name);
	case DETECT_SKIP:
		return !is_virtual(name) && !matches(detect, name);
	case DETECT_INTERFACE:
		return matches(detect, name);
	case DETECT_CIDR:
	case DETECT_REACH:
	case DETECT_NODE:
		break;
	}
	return true;
}

static bool is_in_nets(const struct detect *detect, const union mg_addr *addr)
{
	for (size_t i = 0; i < detect->net_count; i++) {
		if (prefix_contains(&detect->nets[i], addr))
			return true;
	}
	return detect->kind != DETECT_CIDR;
}

static const struct net_link *link_of(const struct net_link *links, size_t count, int ifindex)
{
	for (size_t i = 0; i < count; i++) {
		if (links[i].ifindex == ifindex)
			return &links[i];
	}
	return NULL;
}

static int enumerate(const struct detect *detect, const struct detect_ask *ask,
		     struct net_addr *ret_addr, struct err *err)
{
	_cleanup_free_ struct net_link *links = NULL;
	_cleanup_free_ struct net_addr *addrs = NULL;
	const struct net_addr *best = NULL;
	size_t link_count, addr_count;
	int r;

	r = net_link_list(ask->sock, &links, &link_count, err);
	if (!r)
		r = net_addr_list(ask->sock, 0, &addrs, &addr_count, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < addr_count; i++) {
		const struct net_link *link = link_of(links, link_count, addrs[i].ifindex);

		if (!link || !(link->flags & IFF_UP) || !may_have_address(detect, link->name) ||
		    addrs[i].scope != RT_SCOPE_UNIVERSE || addr_is4(&addrs[i].addr) == ask->v6 ||
		    (ask->v6 && addrs[i].flags & IFA_F_TEMPORARY) ||
		    !is_in_nets(detect, &addrs[i].addr))
			continue;
		if (!best || best->ifindex > addrs[i].ifindex)
			best = &addrs[i];
	}
	if (!best)
		return err_set(err, -ENOENT, "%s: no interface has such a global IPv%d address",
			       detect->text, ask->v6 ? 6 : 4);
	*ret_addr = *best;
	return 0;
}

int detect_length(struct net_sock *sock, const union mg_addr *addr, struct net_addr *ret_addr,
		  struct err *err)
{
	_cleanup_free_ struct net_addr *addrs = NULL;
	size_t count;
	int r = net_addr_list(sock, 0, &addrs, &count, err);

	if (r < 0)
		return r;
	*ret_addr = (struct net_addr){ .addr = *addr, .bits = addr_is4(addr) ? 32 : 128 };
	for (size_t i = 0; i < count; i++) {
		if (!addr_cmp(&addrs[i].addr, addr)) {
			*ret_addr = addrs[i];
			return 0;
		}
	}
	return 0;
}

/* --- the two that ask somebody else ----------------------------------------------------------- */

static int by_reach(const struct detect *detect, const struct detect_ask *ask,
		    struct net_addr *ret_addr, struct err *err)
{
	const union mg_addr *to = &detect->reach[ask->v6];
	struct net_route route;
	int r;

	if (addr_is_zero(to))
		return err_set(err, -ENOENT, "%s: has no IPv%d address", detect->text,
			       ask->v6 ? 6 : 4);
	r = net_route_lookup(ask->sock, to, &route, err);
	if (r < 0 || addr_is_zero(&route.src))
		return err_set(err, -ENOENT, "%s: there is no way", detect->text);
	return detect_length(ask->sock, &route.src, ret_addr, err);
}

int detect_address(const struct detect *detect, const struct detect_ask *ask,
		   struct net_addr *ret_addr, struct err *err)
{
	if (detect->kind == DETECT_REACH)
		return by_reach(detect, ask, ret_addr, err);
	if (detect->kind != DETECT_NODE)
		return enumerate(detect, ask, ret_addr, err);
	if (addr_is_zero(&ask->internal))
		return err_set(err, -ENOENT, "%s: the Node has no IPv%d one", detect->text,
			       ask->v6 ? 6 : 4);
	return detect_length(ask->sock, &ask->internal, ret_addr, err);
}
