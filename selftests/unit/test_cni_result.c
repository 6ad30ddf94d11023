/* SPDX-License-Identifier: Apache-2.0 */
/* Results by version against the specification's text, names, and the record on disk. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/rpc.h"
#include "cni/attachment.h"
#include "cni/config.h"
#include "cni/error.h"
#include "cni/names.h"
#include "cni/result.h"

/* SHA-1 by sha1sum(1): "default.nginx", "kube-system.coredns-5d78c9869d-abcde",
 * "default.nginx/net1". */
static void names_of_the_host_side(void **state)
{
	char name[IFNAMSIZ];

	(void)state;
	host_ifname("cali", "default", "nginx", "eth0", name);
	assert_string_equal(name, "calic440f455693");
	host_ifname("cali", "kube-system", "coredns-5d78c9869d-abcde", "eth0", name);
	assert_string_equal(name, "cali4d5f75c480c");
	host_ifname("longest0", "default", "nginx", "eth0", name);
	assert_int_equal(strlen(name), IFNAMSIZ - 1);
	assert_memory_equal(name, "longest0", 8);
	host_ifname("cali", "default", "nginx", "net1", name);
	assert_string_equal(name, "cali2768043e51d");
}

static void gateway_by_eui64(void **state)
{
	__u8 mac[6];
	char text[ADDR_TEXT_MAX];
	union mg_addr gateway;

	(void)state;
	assert_int_equal(mac_parse(CNI_HOST_MAC, mac), 0);
	gateway = gateway6(mac);
	assert_string_equal(addr_format(&gateway, text), "fe80::ecee:eeff:feee:eeee");
	gateway = gateway4();
	assert_string_equal(addr_format(&gateway, text), "169.254.1.1");
}

static void mac_texts(void **state)
{
	static const char *const bad[] = { "",
					   "02:00:00:00:00",
					   "02:00:00:00:00:00:00",
					   "02-00-00-00-00-01",
					   "0g:00:00:00:00:01",
					   "00:00:00:00:00:00",
					   "ff:ff:ff:ff:ff:ff",
					   "+2:00:00:00:00:01" };
	char text[MAC_TEXT_MAX];
	__u8 mac[6];

	(void)state;
	assert_int_equal(mac_parse("0A:1b:2c:3d:4e:5f", mac), 0);
	assert_string_equal(mac_format(mac, text), "0a:1b:2c:3d:4e:5f");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mac_parse(bad[i], mac), -EINVAL);
}

static void fill(struct attachment *attachment)
{
	attachment->arena = arena_new();
	attachment->container = "c1";
	attachment->ifname = "eth0";
	attachment->network = "k8s";
	attachment->netns = "/run/netns/c1";
	attachment->pod_namespace = "default";
	attachment->pod = "nginx";
	attachment->uid = "";
	host_ifname("cali", "default", "nginx", "eth0", attachment->host_ifname);
	attachment->ready = true;
	attachment->slot = 7;
	attachment->ifindex = 1000007;
	attachment->pod_ifindex = 2;
	attachment->mtu = 1480;
	attachment->netns_cookie = 4711;
	mac_parse("02:00:00:00:00:07", attachment->mac);
	mac_parse(CNI_HOST_MAC, attachment->host_mac);
	addr_parse("10.1.0.7", &attachment->ip4);
	addr_parse("fd00::7", &attachment->ip6);
	attachment->routes = arena_array(attachment->arena, 2, sizeof(*attachment->routes));
	prefix_parse("0.0.0.0/0", false, &attachment->routes[0]);
	prefix_parse("::/0", false, &attachment->routes[1]);
	attachment->route_count = 2;
}

/* Result of `version` for the attachment above, as the specification of that version has it. */
static void expect_result(enum cni_version version, const char *prev, const char *want)
{
	_cleanup_attachment_ struct attachment attachment = { 0 };
	_cleanup_json_ json_t *before = prev ? json_loads(prev, 0, NULL) : NULL;
	_cleanup_json_ json_t *expected = json_loads(want, 0, NULL);
	struct cni_config config = { .version = version, .prev = before };
	_cleanup_json_ json_t *got = NULL;

	fill(&attachment);
	got = result_build(&config, &attachment);
	assert_non_null(expected);
	if (!json_equal(got, expected))
		fail_msg("%s", json_dumps(got, JSON_INDENT(1)));
}

static void result_0_3_1(void **state)
{
	(void)state;
	expect_result(
		CNI_VERSION_0_3_1, NULL,
		"{\"cniVersion\":\"0.3.1\",\"interfaces\":["
		"{\"name\":\"calic440f455693\",\"mac\":\"ee:ee:ee:ee:ee:ee\"},"
		"{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:07\",\"sandbox\":\"/run/netns/c1\"}],"
		"\"ips\":[{\"version\":\"4\",\"interface\":1,\"address\":\"10.1.0.7/32\","
		"\"gateway\":\"169.254.1.1\"},"
		"{\"version\":\"6\",\"interface\":1,\"address\":\"fd00::7/128\","
		"\"gateway\":\"fe80::ecee:eeff:feee:eeee\"}],"
		"\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"169.254.1.1\"},"
		"{\"dst\":\"::/0\",\"gw\":\"fe80::ecee:eeff:feee:eeee\"}],\"dns\":{}}");
}

static void result_0_4_0(void **state)
{
	(void)state;
	expect_result(
		CNI_VERSION_0_4_0, NULL,
		"{\"cniVersion\":\"0.4.0\",\"interfaces\":["
		"{\"name\":\"calic440f455693\",\"mac\":\"ee:ee:ee:ee:ee:ee\"},"
		"{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:07\",\"sandbox\":\"/run/netns/c1\"}],"
		"\"ips\":[{\"version\":\"4\",\"interface\":1,\"address\":\"10.1.0.7/32\","
		"\"gateway\":\"169.254.1.1\"},"
		"{\"version\":\"6\",\"interface\":1,\"address\":\"fd00::7/128\","
		"\"gateway\":\"fe80::ecee:eeff:feee:eeee\"}],"
		"\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"169.254.1.1\"},"
		"{\"dst\":\"::/0\",\"gw\":\"fe80::ecee:eeff:feee:eeee\"}],\"dns\":{}}");
}

/* 1.0.0 took `version` out of ips. */
static void result_1_0_0(void **state)
{
	(void)state;
	expect_result(
		CNI_VERSION_1_0_0, NULL,
		"{\"cniVersion\":\"1.0.0\",\"interfaces\":["
		"{\"name\":\"calic440f455693\",\"mac\":\"ee:ee:ee:ee:ee:ee\"},"
		"{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:07\",\"sandbox\":\"/run/netns/c1\"}],"
		"\"ips\":[{\"interface\":1,\"address\":\"10.1.0.7/32\","
		"\"gateway\":\"169.254.1.1\"},"
		"{\"interface\":1,\"address\":\"fd00::7/128\","
		"\"gateway\":\"fe80::ecee:eeff:feee:eeee\"}],"
		"\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"169.254.1.1\"},"
		"{\"dst\":\"::/0\",\"gw\":\"fe80::ecee:eeff:feee:eeee\"}],\"dns\":{}}");
}

/* 1.1.0 brought `mtu` of interfaces. A former plugin's part comes first, indexes move. */
static void result_1_1_0_after_another(void **state)
{
	(void)state;
	expect_result(
		CNI_VERSION_1_1_0,
		"{\"cniVersion\":\"1.1.0\",\"interfaces\":[{\"name\":\"lo\",\"sandbox\":\"/x\"}],"
		"\"ips\":[{\"interface\":0,\"address\":\"127.0.0.1/8\"}],"
		"\"dns\":{\"search\":[\"example\"]}}",
		"{\"cniVersion\":\"1.1.0\",\"interfaces\":[{\"name\":\"lo\",\"sandbox\":\"/x\"},"
		"{\"name\":\"calic440f455693\",\"mac\":\"ee:ee:ee:ee:ee:ee\",\"mtu\":1480},"
		"{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:07\",\"mtu\":1480,"
		"\"sandbox\":\"/run/netns/c1\"}],"
		"\"ips\":[{\"interface\":0,\"address\":\"127.0.0.1/8\"},"
		"{\"interface\":2,\"address\":\"10.1.0.7/32\",\"gateway\":\"169.254.1.1\"},"
		"{\"interface\":2,\"address\":\"fd00::7/128\","
		"\"gateway\":\"fe80::ecee:eeff:feee:eeee\"}],"
		"\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"169.254.1.1\"},"
		"{\"dst\":\"::/0\",\"gw\":\"fe80::ecee:eeff:feee:eeee\"}],"
		"\"dns\":{\"search\":[\"example\"]}}");
}

static void error_objects(void **state)
{
	struct err err = { .text = "why \xff" };
	_cleanup_json_ json_t *plain = NULL, *more = NULL, *want = NULL;
	struct cni_error error;

	(void)state;
	assert_int_equal(cni_fail(&error, CNI_BAD_CONFIG, "x: %d", 1), -EIO);
	plain = cni_error_json(&error, "1.0.0");
	want = json_loads("{\"cniVersion\":\"1.0.0\",\"code\":7,\"msg\":\"x: 1\"}", 0, NULL);
	assert_true(json_equal(plain, want));
	assert_int_equal(cni_fail_err(&error, CNI_TRY_AGAIN, &err, "later"), -EAGAIN);
	more = cni_error_json(&error, "1.0.0");
	assert_int_equal(json_integer_value(json_object_get(more, "code")), 11);
	assert_string_equal(json_string_value(json_object_get(more, "details")), "why ?");
}

/* --- records --- */
static char folder[64];

static int make_folder(void **state)
{
	struct err err;

	(void)state;
	strcpy(folder, "/tmp/margay-cni-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	return state_prepare(folder, &err);
}

static int remove_folder(void **state)
{
	static const char *const parts[] = { "attachments", "released", "" };
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/lock", folder);
	unlink(path);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, parts[i]);
		if (rmdir(path) < 0)
			return -1; /* something was left in it */
	}
	return 0;
}

static int count_one(const char *file, const struct attachment *attachment, void *data)
{
	(void)file;
	if (attachment)
		++*(int *)data;
	return 0;
}

static void record_goes_round(void **state)
{
	_cleanup_attachment_ struct attachment in = { 0 }, out = { 0 };
	struct stat st;
	char path[256];
	struct err err;
	int count = 0;

	(void)state;
	fill(&in);
	in.config = "{}";
	in.external = true;
	assert_int_equal(attachment_store(folder, &in, &err), 0);
	snprintf(path, sizeof(path), "%s/attachments/c1:eth0.json", folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(attachment_load(folder, "c1", "eth0", &out, &err), 0);
	assert_string_equal(out.pod, "nginx");
	assert_string_equal(out.host_ifname, in.host_ifname);
	assert_string_equal(out.config, "{}");
	assert_true(out.ready && out.external);
	assert_int_equal(out.slot, 7);
	assert_int_equal(out.ifindex, 1000007);
	assert_int_equal(out.netns_cookie, 4711);
	assert_memory_equal(out.mac, in.mac, 6);
	assert_int_equal(addr_cmp(&out.ip4, &in.ip4), 0);
	assert_int_equal(addr_cmp(&out.ip6, &in.ip6), 0);
	assert_int_equal(out.route_count, 2);
	assert_int_equal(attachment_each(folder, count_one, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(attachment_remove(folder, "c1", "eth0", &err), 0);
	assert_int_equal(attachment_remove(folder, "c1", "eth0", &err), 0);
}

static void record_without_addresses_yet(void **state)
{
	_cleanup_attachment_ struct attachment in = { 0 }, out = { 0 };
	struct err err;

	(void)state;
	fill(&in);
	in.ready = false;
	memset(&in.ip4, 0, sizeof(in.ip4));
	memset(&in.ip6, 0, sizeof(in.ip6));
	memset(in.mac, 0, 6);
	memset(in.host_mac, 0, 6);
	in.route_count = 0;
	assert_int_equal(attachment_store(folder, &in, &err), 0);
	assert_int_equal(attachment_load(folder, "c1", "eth0", &out, &err), 0);
	assert_false(out.ready);
	assert_true(addr_is_zero(&out.ip4) && addr_is_zero(&out.ip6));
	assert_int_equal(attachment_remove(folder, "c1", "eth0", &err), 0);
}

static void record_of_somebody_else(void **state)
{
	static const char *const texts[] = { "", "{}", "[]", "{\"version\":1,\"container\":5}" };
	struct attachment out;
	struct err err;
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/attachments/c1:eth0.json", folder);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		FILE *file = fopen(path, "w");

		fputs(texts[i], file);
		fclose(file);
		assert_int_equal(attachment_load(folder, "c1", "eth0", &out, &err), -EBADMSG);
	}
	assert_int_equal(attachment_load(folder, "c2", "eth0", &out, &err), -ENOENT);
	assert_int_equal(attachment_remove(folder, "c1", "eth0", &err), 0);
}

static void record_removal_takes_leftovers(void **state)
{
	char path[256];
	struct err err;

	(void)state;
	snprintf(path, sizeof(path), "%s/attachments/.tmp-99999999-c1:eth0.json", folder);
	fclose(fopen(path, "w"));
	assert_int_equal(attachment_remove(folder, "c1", "eth0", &err), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void lock_keeps_others_out(void **state)
{
	int first, second, other;
	struct err err;

	(void)state;
	assert_int_equal(state_lock(folder, "cali1", rpc_now() + 1000, &first, &err), 0);
	assert_int_equal(state_lock(folder, "cali1", rpc_now() + 50, &second, &err), -ETIMEDOUT);
	assert_int_equal(state_lock(folder, "cali2", rpc_now() + 50, &other, &err), 0);
	close(first);
	assert_int_equal(state_lock(folder, "cali1", rpc_now() + 50, &second, &err), 0);
	close(second);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_host_side),
		cmocka_unit_test(gateway_by_eui64),
		cmocka_unit_test(mac_texts),
		cmocka_unit_test(result_0_3_1),
		cmocka_unit_test(result_0_4_0),
		cmocka_unit_test(result_1_0_0),
		cmocka_unit_test(result_1_1_0_after_another),
		cmocka_unit_test(error_objects),
		cmocka_unit_test_setup_teardown(record_goes_round, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(record_without_addresses_yet, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(record_of_somebody_else, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(record_removal_takes_leftovers, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(lock_keeps_others_out, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
