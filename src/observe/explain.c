#include "observe/explain.h"

#include <json-c/json_pointer.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "observe/style.h"

#define VALUE_MAX 60 /* characters of a value that people are shown */

static struct json_object *value_at(struct json_object *config, const char *pointer)
{
    struct json_object *value = NULL;

    if (str_empty(pointer) || !config || json_pointer_get(config, pointer, &value) < 0)
        return NULL;
    return value;
}

static struct json_object *explain_step(
        const struct plan *plan, size_t index, struct json_object *config)
{
    _cleanup_arena_ struct arena arena = {0};
    const struct step *step = &plan->steps[index];
    struct step_text text = {.arena = &arena};
    struct json_object *object = json_object_new_object();
    struct json_object *calls = json_object_new_array();

    plan_describe(plan, index, &text);
    for (size_t i = 0; i < text.calls.count; i++)
        json_object_array_add(calls, json_object_new_string(text.calls.words[i]));
    json_object_object_add(object, "step", json_object_new_uint64(index + 1));
    json_add_str(object, "place", step_place_name(step->place));
    json_add_str(object, "op", step->ops->name);
    json_object_object_add(object, "args", calls);
    json_add_str(object, "because", step->because ? step->because : "");
    struct json_object *value = value_at(config, step->because);
    if (value)
        json_object_object_add(object, "value", json_object_get(value));
    json_add_str(object, "why", text.why);
    json_add_str(object, "manual", step->ops->manual);
    return object;
}

struct json_object *explain_json(const struct plan *plan, struct json_object *config)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < plan->count; i++)
        json_object_array_add(array, explain_step(plan, i, config));
    return array;
}

static void print_reason(
        const struct step *step, struct json_object *config, const struct style *style, FILE *out)
{
    struct json_object *value = value_at(config, step->because);

    if (str_empty(step->because))
        return;
    fprintf(out, "              %sbecause %s", style->dim, step->because);
    if (value) {
        const char *text = json_text(value);
        _cleanup_free_ char *shown = strndup(text, VALUE_MAX);
        if (shown)
            str_tame(shown, "");
        fprintf(out, " = %s%s", shown ? shown : "", strlen(text) > VALUE_MAX ? "…" : "");
    }
    fprintf(out, "%s\n", style->reset);
}

void explain_print(const struct plan *plan, struct json_object *config, FILE *out)
{
    const struct style *style = style_for(out);

    for (size_t i = 0; i < plan->count; i++) {
        _cleanup_arena_ struct arena arena = {0};
        const struct step *step = &plan->steps[i];
        struct step_text text = {.arena = &arena};

        plan_describe(plan, i, &text);
        fprintf(out, "%s%4zu%s  %-7s %s%s%s  %s%s%s\n", style->bold, i + 1, style->reset,
                step_place_name(step->place), style->bold, step->ops->name, style->reset,
                style->dim, step->ops->manual, style->reset);
        for (size_t j = 0; j < text.calls.count; j++)
            fprintf(out, "              %s%s%s\n", style->blue, text.calls.words[j], style->reset);
        print_reason(step, config, style, out);
        fprintf(out, "              %s\n", text.why);
    }
}
