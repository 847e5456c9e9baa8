#include "image/manifest.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "image/change.h"
#include "image/digest.h"
#include "image/ingest.h"
#include "test.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BLOB(type) "{\"mediaType\":\"" type "\",\"digest\":\"sha256:" HEX "\",\"size\":7}"
#define GZIP "application/vnd.oci.image.layer.v1.tar+gzip"

static struct arena arena;

static int parse(const char *text, struct manifest *ret, struct error *err)
{
    return manifest_parse(text, strlen(text), NULL, &arena, ret, err);
}

TEST(manifest_reads_images)
{
    struct manifest m;
    struct error err = ERROR_NONE;

    CHECK_INT(parse("{\"schemaVersion\":2,\"config\":" BLOB("c") ",\"layers\":[" BLOB(GZIP) "]}",
                      &m, &err),
            0);
    CHECK_STR(m.media_type, MANIFEST_OCI);
    CHECK_INT(m.count, 1);
    CHECK_INT(m.items[0].size, 7);
    CHECK_INT(manifest_layer_kind(m.items[0].media_type), LAYER_GZIP);
}

TEST(manifest_refuses_what_is_wrong)
{
    static const struct {
        const char *text;
        const char *part;
    } cases[] = {
            {"", "empty"},
            {"[]", "no valid digest"},
            {"{\"schemaVersion\":1,\"fsLayers\":[]}", "schema 1"},
            {"{\"config\":" BLOB("c") "}", "no list of layers"},
            {"{\"config\":{\"digest\":\"sha256:x\",\"size\":1},\"layers\":[]}", "no valid digest"},
            {"{\"config\":{\"digest\":\"sha256:" HEX "\",\"size\":-1},\"layers\":[]}", "no size"},
            {"{\"config\":{\"digest\":\"sha256:" HEX "\",\"size\":99999999},\"layers\":[]}",
                    "are the limit"},
            {"{\"config\":" BLOB("c") ",\"layers\":[" BLOB("x/encrypted") "]}", "x/encrypted"},
            {"{\"manifests\":[],\"layers\":[]}", "a list and an image at once"},
            {"{\"manifests\":[{\"digest\":7}]}", "no valid digest"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct manifest m;
        struct error err = ERROR_NONE;
        CHECK(parse(cases[i].text, &m, &err) < 0);
        if (!strstr(err.text, cases[i].part))
            test_report(__FILE__, __LINE__, "case %zu: \"%s\" lacks \"%s\"", i, err.text,
                    cases[i].part);
    }
}

TEST(manifest_counts_are_capped)
{
    struct buf text = {.max = (size_t)32 << 20};
    struct manifest m;
    struct error err = ERROR_NONE;

    buf_add_str(&text, "{\"config\":" BLOB("c") ",\"layers\":[");
    for (int i = 0; i <= MANIFEST_LAYERS_MAX; i++)
        buf_printf(&text, "%s" BLOB(GZIP), i ? "," : "");
    buf_add_str(&text, "]}");
    CHECK_INT(parse(buf_text(&text), &m, &err), -E2BIG);
    buf_free(&text);
}

TEST(manifest_chooses_a_platform)
{
#define FOR(os, arch, variant)                                                                     \
    "{\"digest\":\"sha256:" HEX "\",\"size\":1,\"platform\":{\"os\":\"" os                         \
    "\",\"architecture\":\"" arch "\",\"variant\":\"" variant "\"}}"
    static const char text[] = "{\"manifests\":[" FOR("linux", "arm", "v6") "," FOR("linux", "arm",
            "v7") "," FOR("linux", "amd64", "") "," FOR("unknown", "unknown", "") "]}";
    struct manifest list;
    const struct descriptor *found;
    struct platform wanted;
    struct error err = ERROR_NONE;

    CHECK_INT(parse(text, &list, &err), 0);
    CHECK(list.list);
    CHECK_INT(platform_parse("linux/arm/v7", &arena, &wanted, NULL), 0);
    CHECK_INT(manifest_choose(&list, &wanted, &arena, &found, &err), 0);
    CHECK_STR(found->platform.variant, "v7");
    CHECK_INT(platform_parse("linux/s390x", &arena, &wanted, NULL), 0);
    CHECK_INT(manifest_choose(&list, &wanted, &arena, &found, &err), -ENOENT);
    CHECK_STR(err.text, "there is no image for linux/s390x; there are: linux/arm/v6, linux/arm/v7, "
                        "linux/amd64");
}

TEST(manifest_writes_what_it_reads)
{
    struct manifest m;
    char *text;

    CHECK_INT(parse("{\"config\":" BLOB("c") ",\"layers\":[" BLOB(GZIP) "]}", &m, NULL), 0);
    CHECK_INT(manifest_write(&m, false, &arena, &text, NULL), 0);
    CHECK_INT(parse(text, &m, NULL), 0);
    CHECK_STR(m.media_type, MANIFEST_DOCKER);
    CHECK_STR(m.items[0].media_type, "application/vnd.docker.image.rootfs.diff.tar.gzip");
    m.items[0].media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
    CHECK_INT(manifest_write(&m, false, &arena, &text, NULL), -EPROTONOSUPPORT);
    CHECK_INT(manifest_write(&m, true, &arena, &text, NULL), 0);
}

TEST(digest_known_values)
{
    char text[DIGEST_SIZE];
    struct digest_state state;

    digest_of("abc", 3, text);
    CHECK_STR(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_start(&state, "sha512:");
    digest_add(&state, "abc", 3);
    digest_end(&state, text);
    CHECK(digest_valid(text));
    CHECK(str_starts(text, "sha512:ddaf35a193617abacc417349ae204131"));
    CHECK(!digest_valid("sha256:ABC"));
    CHECK(!digest_valid("md5:d41d8cd98f00b204e9800998ecf8427e"));
    CHECK(!digest_valid("sha256:" HEX "0"));
}

TEST(ingest_reads_times)
{
    CHECK_INT(ingest_time("1970-01-02T00:00:00Z"), 86400);
    CHECK_INT(ingest_time("2024-02-29T12:34:56.789Z"), 1709210096);
    CHECK_INT(ingest_time("1970-01-01T02:00:00+02:00"), 0);
    CHECK_INT(ingest_time("1969-12-31T22:00:00-02:00"), 0);
    CHECK_INT(ingest_time("yesterday"), 0);
    CHECK_INT(ingest_time(NULL), 0);
}

TEST(compose_applies_lines)
{
    static const char *const lines[] = {"CMD [\"/bin/sh\", \"-l\"]", "ENTRYPOINT run me",
            "ENV A=1 B=\"two words\"", "ENV=A=3", "ENV C the rest", "EXPOSE 80 53/udp", "LABEL a=b",
            "label c=d", "VOLUME [\"/v\"]", "USER 1:2", "WORKDIR /w", "STOPSIGNAL SIGINT",
            "ONBUILD RUN x"};
    _cleanup_json_ struct json_object *config = json_object_new_object();

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct error err = ERROR_NONE;
        CHECK_INT(change_apply(config, lines[i], &err), 0);
    }
    CHECK_STR(json_text(config),
            "{\"Cmd\":[\"/bin/sh\",\"-l\"],\"Entrypoint\":[\"/bin/sh\",\"-c\",\"run me\"],"
            "\"Env\":[\"A=3\",\"B=two words\",\"C=the rest\"],"
            "\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}},\"Labels\":{\"a\":\"b\",\"c\":\"d\"},"
            "\"Volumes\":{\"/v\":{}},\"User\":\"1:2\",\"WorkingDir\":\"/w\","
            "\"StopSignal\":\"SIGINT\",\"OnBuild\":[\"RUN x\"]}");
    struct error err = ERROR_NONE;
    CHECK_INT(change_apply(config, "FROM x", &err), -EINVAL);
    CHECK_INT(change_apply(config, "LABEL x", &err), -EINVAL);
}

TEST_MAIN()
