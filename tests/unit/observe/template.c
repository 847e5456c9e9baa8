#include "observe/template.h"

#include <string.h>

#include "test.h"

static const char data_text[] =
        "{\"Names\":\"web\",\"Pid\":42,\"Up\":true,\"CreatedAt\":\"now\",\"None\":null,"
        "\"Ports\":[\"80\",\"443\"],\"Labels\":{\"a\":\"1\",\"b\":\"2\"},"
        "\"State\":{\"Status\":\"running\"}}";

/* What a template makes of the data above, or "error: " and the message. */
static const char *rendered(struct arena *arena, const char *text)
{
    struct error err = ERROR_NONE;
    _cleanup_json_ struct json_object *data = NULL;
    _cleanup_buf_ struct buf out = {0};
    struct template *template;

    json_parse(data_text, sizeof(data_text) - 1, "data", &data, NULL);
    int r = template_parse(arena, text, &template, &err);
    if (r == 0)
        r = template_render(template, data, &out, &err);
    return r == 0 ? arena_strdup(arena, buf_text(&out))
                  : arena_printf(arena, "error: %s", err.text);
}

TEST(template_prints_what_it_is_asked)
{
    static const struct {
        const char *text, *found;
    } cases[] = {
            {"plain", "plain"},
            {"{{.Names}}\t{{.Pid}}", "web\t42"},
            {"{{ .State.Status }}", "running"},
            {"{{.State.Nothing}} {{.None}}", "<no value> <no value>"},
            {"{{json .Ports}} {{json .Names}}", "[\"80\",\"443\"] \"web\""},
            {"{{.Ports}} {{.Labels}}", "[80 443] map[a:1 b:2]"},
            {"{{index .Labels \"b\"}}{{index .Ports 1}}{{index .Labels \"c\"}}", "2443<no value>"},
            {"{{.Label \"b\"}}<{{.Label \"c\"}}>{{$.Label \"a\" | printf \"%s!\"}}", "2<>1!"},
            {"{{range .Ports}}{{$.Label \"a\"}}{{end}}{{if .Label \"c\"}}x{{end}}", "11"},
            {"{{slice .Names 1 2}} {{slice .Ports 1}} {{slice .Names}}", "e [443] web"},
            {"{{range .Ports}}<{{.}}>{{end}}", "<80><443>"},
            {"{{range $i, $p := .Ports}}{{$i}}={{$p}} {{end}}", "0=80 1=443 "},
            {"{{range $k, $v := .Labels}}{{$k}}={{$v}}{{$.Pid}} {{end}}", "a=142 b=242 "},
            {"{{range .None}}x{{else}}none{{end}}", "none"},
            {"{{if .Up}}up{{else}}down{{end}}{{if .None}}x{{end}}", "up"},
            {"{{if eq .Pid 1 42}}one{{else if .Up}}two{{else}}three{{end}}", "one"},
            {"{{if and .None .Up}}1{{else if or .None .Up}}2{{else}}3{{end}}", "2"},
            {"{{if not (eq .State.Status \"exited\")}}alive{{end}}", "alive"},
            {"{{with .State}}{{.Status}}{{end}}{{with .None}}x{{else}}y{{end}}", "runningy"},
            {"{{.Names | upper | printf \"%5s|%-5s|\" \"x\"}}", "    x|WEB  |"},
            {"{{printf \"%q %.2s %d%%\" .Names .Names .Pid}}", "\"web\" we 42%"},
            {"{{join .Ports \", \"}} {{len .Ports}}", "80, 443 2"},
            {"{{(index (split \"a/b\" \"/\") 1)}} {{title \"ab cd\"}}", "b Ab Cd"},
            {"a  {{- \" b \" -}}  c", "a b c"},
            {"{{$x := .Pid}}{{$x}}{{/* said */}}{{lt 1 2}}{{ge 1 2}}", "42truefalse"},
            {"{{`raw \\n`}}{{\"a\\tb\"}}{{truncate .Names 2}}{{pad \"x\" 1 2}}|",
                    "raw \\na\tbwe x  |"},
    };
    _cleanup_arena_ struct arena arena = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK_STR(rendered(&arena, cases[i].text), cases[i].found);
}

TEST(template_says_what_is_wrong)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
            {"{{.Name}}", "there is no .Name; did you mean .Names?"},
            {"{{.Names", "unclosed {{"},
            {"{{if .Up}}x", "{{end}} is missing"},
            {"{{end}}", "without a beginning"},
            {"{{nosuch .Up}}", "no function \"nosuch\""},
            {"{{.Names .Pid}}", "no function"},
            {"{{$y}}", "there is no $y"},
            {"{{slice .Names 2 9}}", "it has no such part"},
            {"{{.State.Label \"a\" \"b\"}}", "number of arguments"},
            {"{{index .Ports 7}}", "no item of that number"},
            {"{{range .Pid}}{{end}}", "range wants a list"},
            {"{{\"abc}}", "not closed"},
            {"{{printf \"%s\"}}", "fewer values"},
            {"{{len}}", "number of arguments"},
    };
    _cleanup_arena_ struct arena arena = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK(strstr(rendered(&arena, cases[i].text), cases[i].part));
}

TEST(template_makes_a_heading)
{
    static const char *const names[] = {"ID", "CONTAINER ID", NULL};
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf out = {0};
    struct template *template;

    CHECK_INT(
            template_parse(&arena, "{{.ID}}\t{{.CreatedAt}}\t{{json .Names}}", &template, NULL), 0);
    CHECK_INT(template_heading(template, names, &out, NULL), 0);
    CHECK_STR(buf_text(&out), "CONTAINER ID\tCREATED AT\tNAMES");
}

TEST(template_is_capped)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf text = {0};

    for (int i = 0; i < 100; i++)
        buf_add_str(&text, "{{if .Up}}");
    CHECK(strstr(rendered(&arena, buf_text(&text)), "nested too deep"));
    buf_clear(&text);
    for (int i = 0; i < 25; i++)
        buf_add_str(&text, "{{range $.Ports}}");
    for (int i = 0; i < 25; i++)
        buf_add_str(&text, "{{end}}");
    CHECK(strstr(rendered(&arena, buf_text(&text)), "too much work"));
}

TEST_MAIN()
