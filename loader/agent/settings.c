/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <string.h>

#include "agent/endpoint.h"
#include "agent/status.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "model/felix_env.h"
#include "state/service.h"

#define PREFIX_MAX 8 /* cni/names.h */

/* --- reports ------------------------------------------------------------------------------- */

static void replace(struct agent *agent, const char *title, json_t *texts)
{
	json_t *old = json_object_get(agent->config_reports, title), *text;
	size_t i;

	if (old && json_equal(old, texts)) {
		json_decref(texts);
		return;
	}
	json_array_foreach(texts, i, text)
		log_warning("configuration", "object", title, "what", json_string_value(text),
			    NULL);
	if (!agent->config_reports)
		agent->config_reports = json_object();
	if (json_array_size(texts))
		json_object_set(agent->config_reports, title, texts);
	else
		json_object_del(agent->config_reports, title);
	json_decref(texts);
}

void settings_report(struct agent *agent, const char *title, const struct problems *problems)
{
	json_t *texts = json_array();

	for (size_t i = 0; problems && i < problems->count; i++) {
		_cleanup_free_ char *text = problem_text(&problems->v[i]);

		json_array_append_new(texts, json_string(text));
	}
	replace(agent, title, texts);
}

void settings_problem(struct agent *agent, const char *parameter, const char *text)
{
	json_t *texts = json_array();

	if (text)
		json_array_append_new(texts, json_string(text));
	replace(agent, parameter, texts);
}

/* --- before the start ----------------------------------------------------------------------- */

static void read_one(struct agent *agent, const char *name)
{
	const struct store_key key = {
		.kind = store_kind_find("projectcalico.org/v3", "FelixConfiguration"), .name = name
	};
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;
	_cleanup_json_ json_t *root = NULL;
	struct err err;

	/* What is wrong with it is said when the object is followed. */
	if (store_get(agent->store, &key, &root, &err) < 0 ||
	    object_decode(root, &(struct decode_options){ .mode = DECODE_LENIENT }, &object,
			  &problems) < 0)
		return;
	state_object_set(agent->state, object);
}

static void read_environment(struct agent *agent)
{
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;
	_cleanup_json_ json_t *root = felix_environment(environ);

	if (!root)
		return;
	if (!object_decode(root, &options, &object, &problems))
		state_environment_set(agent->state, object);
	settings_report(agent, "FELIX_ environment", &problems);
}

void settings_read(struct agent *agent)
{
	_cleanup_free_ char *own = xasprintf("node.%s", agent->config.node);

	read_environment(agent);
	read_one(agent, "default");
	read_one(agent, own);
}

size_t settings_sizes(const struct agent *agent, struct dp_size *sizes)
{
	const struct felix_params *params = state_params(agent->state);
	size_t count = 0;

	/* The two flow tables share what Felix's one holds. */
	if (params->has & 1ULL << FELIX_HAS_map_conntrack) {
		sizes[count++] = (struct dp_size){ "mg_flow_e", (params->map_conntrack + 1) / 2 };
		sizes[count++] = (struct dp_size){ "mg_flow_t", (params->map_conntrack + 1) / 2 };
	}
	if (params->has & 1ULL << FELIX_HAS_map_ipsets)
		sizes[count++] = (struct dp_size){ "mg_nets", params->map_ipsets };
	if (params->has & 1ULL << FELIX_HAS_map_routes)
		sizes[count++] = (struct dp_size){ "mg_addrs", params->map_routes };
	if (params->has & 1ULL << FELIX_HAS_map_rules)
		sizes[count++] = (struct dp_size){ "mg_rule_stats", params->map_rules };
	return count;
}

/* --- patterns ------------------------------------------------------------------------------ */

/* The former pattern stays where the new one is none. */
static void compile(struct agent *agent, const char *parameter, const char *text, regex_t **pattern)
{
	_cleanup_free_ regex_t *fresh = xcalloc(1, sizeof(*fresh));
	_cleanup_free_ char *problem = NULL;
	char why[128];
	int r = regcomp(fresh, text, REG_EXTENDED | REG_NOSUB);

	if (r) {
		regerror(r, fresh, why, sizeof(why));
		problem = xasprintf("\"%s\" is no regular expression: %s", text, why);
	}
	settings_problem(agent, parameter, problem);
	if (r)
		return;
	if (*pattern) {
		regfree(*pattern);
		free(*pattern);
	}
	*pattern = TAKE_PTR(fresh);
}

static bool matches(const regex_t *pattern, const char *name)
{
	return pattern && !regexec(pattern, name, 0, NULL, 0);
}

bool settings_is_uplink(const struct agent *agent, const char *name)
{
	return matches(agent->data_pattern, name);
}

bool settings_is_mtu_link(const struct agent *agent, const char *name)
{
	return matches(agent->mtu_pattern, name);
}

/* --- taking over ---------------------------------------------------------------------------- */

static int apply_attach(struct agent *agent, const struct felix_params *params, struct err *err)
{
	/* TCX is the default and no demand: clsact stands in where the kernel has none. */
	enum dp_attach_type type =
		params->attach_type == FELIX_ATTACH_TC ? DP_ATTACH_CLSACT : DP_ATTACH_AUTO;
	int r = dp_attach_pick(type, &agent->attach, err);

	settings_problem(agent, "bpfAttachType",
			 params->attach_type == FELIX_ATTACH_NETKIT
				 ? "NetKit has no effect: pods have veth devices"
				 : NULL);
	return r;
}

static void apply_redirect(struct agent *agent, const struct felix_params *params)
{
	bool no_peer = params->redirect_peer == FELIX_DISABLED;

	if (no_peer == agent->no_peer)
		return;
	agent->no_peer = no_peer;
	for (struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		if (ep->committed)
			endpoint_changed(agent, ep);
	}
}

/* Felix takes a list, of which the plugin uses the first; of names that are interfaces' only. */
static bool is_prefix(const char *text, size_t size)
{
	return size && size <= PREFIX_MAX &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") >=
		       size;
}

/* The plugin asks nobody for its interface's name: it must know it also without an agent. */
static int apply_prefix(struct agent *agent, const struct felix_params *params, struct err *err)
{
	_cleanup_free_ char *folder = xasprintf("%s/cni", agent->config.state_dir);
	_cleanup_free_ char *path = xasprintf("%s/interface-prefix", folder), *former = NULL;
	const char *text = params->interface_prefix;
	size_t size = strcspn(text, ","), former_size = 0;
	int r;

	settings_problem(agent, "interfacePrefix",
			 is_prefix(text, size)
				 ? NULL
				 : "interfacePrefix must be 1 to 8 letters, digits, _ or -");
	if (!is_prefix(text, size))
		return 0;
	if (!file_read(AT_FDCWD, path, PREFIX_MAX, &former, &former_size) && former_size == size &&
	    !memcmp(former, text, size))
		return 0;
	r = dir_make(folder, 0700, err);
	if (r < 0)
		return r;
	r = file_replace(AT_FDCWD, path, text, size, 0600);
	return r < 0 ? err_errno(err, r, "%s", path) : 0;
}

int settings_apply(struct agent *agent, struct err *err)
{
	const struct felix_params *params = state_params(agent->state);
	int r;

	if (!agent->config.log_level)
		log_set_level((enum log_level)params->log_level);
	compile(agent, "bpfDataIfacePattern", params->data_iface_pattern, &agent->data_pattern);
	compile(agent, "mtuIfacePattern", params->mtu_iface_pattern, &agent->mtu_pattern);
	apply_redirect(agent, params);
	services_refuse_external_ips(agent->services,
				     params->service_external_ips == FELIX_DISABLED);
	r = apply_prefix(agent, params, err);
	if (!r)
		r = apply_attach(agent, params, err);
	return r < 0 ? r : status_listen(agent, err);
}

void settings_stop(struct agent *agent)
{
	regex_t *patterns[] = { agent->data_pattern, agent->mtu_pattern };

	for (unsigned int i = 0; i < 2; i++) {
		if (patterns[i])
			regfree(patterns[i]);
		free(patterns[i]);
	}
	json_decref(agent->config_reports);
}
