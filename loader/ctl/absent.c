/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of calicoctl that are not here, and what to do instead. */
#include <string.h>

#include "ctl/verb.h"

static const struct {
	const char *words[3]; /* NULL: the words end before */
	const char *instead;
} absent[] = {
	{ { "convert" }, "convert: objects of calicoctl before version 3 are not read" },
	{ { "node", "run" },
	  "node run: margay-agent is a service of the host (systemctl enable --now margay-agent)" },
	{ { "node", "diags" },
	  "node diags: there is no archive to send; \"status\", \"endpoints show\", \"policy "
	  "show\", "
	  "\"routes show\", \"flows show\" and \"drops show\" tell what it would hold (-o json)" },
	{ { "cluster", "diags" },
	  "cluster diags: there is no archive to send; \"status -o json\" on each node tells its "
	  "state" },
	{ { "datastore", "migrate", "lock" },
	  "datastore migrate lock: nothing heeds a lock of the datastore; stop the agents (pods "
	  "keep "
	  "their network), copy with \"get -A -o yaml\" and \"apply -f\", and start them with the "
	  "new --datastore" },
	{ { "datastore", "migrate", "unlock" },
	  "datastore migrate unlock: nothing heeds a lock of the datastore" },
	{ { "datastore", "migrate", "export" },
	  "datastore migrate export: \"get KIND,KIND -A --export -o yaml\" writes objects" },
	{ { "datastore", "migrate", "import" },
	  "datastore migrate import: \"apply -f FILE\" reads objects" },
	{ { "datastore", "migrate-policy-names" },
	  "datastore migrate-policy-names: names of policies are kept as they are written" },
};

const char *verb_instead(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		int words = 0;

		while (words < 3 && words < argc && absent[i].words[words] &&
		       !strcmp(absent[i].words[words], argv[words]))
			words++;
		if (words == 3 || !absent[i].words[words])
			return absent[i].instead;
	}
	return NULL;
}
