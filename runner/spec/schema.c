/* The JSON Schema that editors use, from the same tables as the checks. */
#include <math.h>
#include <string.h>

#include "tree.h"

static void put_pair(struct json_writer *w, const char *key, const char *value)
{
    json_member(w, key);
    json_str(w, value);
}

static void put_type(struct json_writer *w, const char *key, const char *type)
{
    json_member(w, key);
    json_object(w);
    put_pair(w, "type", type);
    json_object_end(w);
}

static void put_bounds(struct json_writer *w, const struct option *o)
{
    if (!(o->min < o->max) && !(o->min > 0))
        return;
    if (isfinite(o->min)) {
        json_member(w, "minimum");
        json_num(w, o->min);
    }
    if (isfinite(o->max)) {
        json_member(w, "maximum");
        json_num(w, o->max);
    }
}

static void put_items(struct json_writer *w, const struct option *o, const char *type)
{
    put_pair(w, "type", "array");
    json_member(w, "items");
    json_object(w);
    put_pair(w, "type", type);
    if (o->type == OPT_INTS)
        put_bounds(w, o);
    json_object_end(w);
}

static void put_option(struct json_writer *w, const struct option *o)
{
    json_member(w, o->name);
    json_object(w);
    switch (o->type) {
    case OPT_INT:
    case OPT_REAL:
        put_pair(w, "type", o->type == OPT_INT ? "integer" : "number");
        put_bounds(w, o);
        break;
    case OPT_BOOL:
        put_pair(w, "type", "boolean");
        break;
    case OPT_STRING:
        put_pair(w, "type", "string");
        break;
    case OPT_ENUM:
        json_member(w, "enum");
        json_array(w);
        for (const char *const *c = o->choices; *c; c++)
            json_str(w, *c);
        json_array_end(w);
        break;
    case OPT_INTS:
        put_items(w, o, "integer");
        break;
    case OPT_STRINGS:
        put_items(w, o, "string");
        break;
    }
    if (o->help)
        put_pair(w, "description", o->help);
    if (o->def) {
        json_member(w, "default");
        json_raw(w, o->def);
    }
    json_object_end(w);
}

static void put_ref(struct json_writer *w, const char *name)
{
    json_object(w);
    put_pair(w, "$ref", name);
    json_object_end(w);
}

static void put_input(struct json_writer *w, const struct input *in)
{
    json_member(w, in->name);
    json_object(w);
    json_member(w, "anyOf");
    json_array(w);
    put_ref(w, "#/$defs/input");
    if (in->many) {
        json_object(w);
        put_pair(w, "type", "array");
        json_member(w, "items");
        put_ref(w, "#/$defs/input");
        json_object_end(w);
    }
    json_array_end(w);
    if (in->help)
        put_pair(w, "description", in->help);
    json_object_end(w);
}

/* Options are not "required" here: a sweep may give them. */
static void put_method(struct json_writer *w, const struct method *m)
{
    json_object(w);
    json_member(w, "if");
    json_object(w);
    json_member(w, "properties");
    json_object(w);
    json_member(w, "do");
    json_object(w);
    put_pair(w, "const", m->name);
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
    json_member(w, "then");
    json_object(w);
    put_pair(w, "description", m->summary);
    json_member(w, "properties");
    json_object(w);
    for (const char *const *k = (const char *const[]){"do", "note", NULL}; *k; k++)
        put_type(w, *k, "string");
    put_type(w, "seed", "integer");
    put_type(w, "over", "array");
    json_member(w, "record");
    put_ref(w, "#/$defs/record");
    json_member(w, "as");
    json_raw(w, "{\"enum\":[\"paper\",\"code\"]}");
    for (const struct input *in = m->inputs; in && in->name; in++)
        put_input(w, in);
    for (const struct option *o = m->options; o && o->name; o++)
        put_option(w, o);
    json_object_end(w);
    json_member(w, "additionalProperties");
    json_flag(w, false);
    json_object_end(w);
    json_object_end(w);
}

static void put_stage(struct json_writer *w)
{
    json_object(w);
    put_pair(w, "type", "object");
    json_member(w, "properties");
    json_object(w);
    json_member(w, "do");
    json_object(w);
    json_member(w, "enum");
    json_array(w);
    for (const struct method *const *m = method_list(); *m; m++)
        json_str(w, (*m)->name);
    json_array_end(w);
    json_object_end(w);
    json_object_end(w);
    json_member(w, "allOf");
    json_array(w);
    for (const struct method *const *m = method_list(); *m; m++)
        put_method(w, *m);
    if (!*method_list())
        json_flag(w, true);
    json_array_end(w);
    json_object_end(w);
}

static void put_defs(struct json_writer *w)
{
    json_member(w, "$defs");
    json_object(w);
    json_member(w, "input");
    json_raw(
        w,
        "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"properties\":{\"from\":"
        "{\"type\":\"string\"},\"output\":{\"enum\":[\"model\",\"task\",\"scores\","
        "\"eval\","
        "\"stats\"]}},\"required\":[\"from\"],\"additionalProperties\":false}]}");
    json_member(w, "sweep");
    json_raw(
        w,
        "{\"type\":\"object\",\"properties\":{\"grid\":{\"type\":\"object\"},\"zip\":"
        "{\"type\":\"object\"},\"list\":{\"type\":\"array\",\"items\":{\"type\":"
        "\"object\"}},"
        "\"concat\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/sweep\"}},\"when\":"
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/"
        "sweep\"}},\"exclude\":{\"type\":"
        "\"array\",\"items\":{\"type\":\"object\"}},\"if\":{\"type\":\"object\"}},"
        "\"additionalProperties\":false}");
    json_member(w, "record");
    record_schema(w);
    json_member(w, "stage");
    put_stage(w);
    json_object_end(w);
}

void spec_schema(struct strbuf *out)
{
    struct json_writer w;

    json_begin(&w, out, true);
    json_object(&w);
    put_pair(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    put_pair(&w, "title", "Retort spec");
    put_pair(&w, "type", "object");
    json_member(&w, "properties");
    json_object(&w);
    json_member(&w, "retort");
    json_raw(&w, "{\"const\":1}");
    for (const char *const *k = (const char *const[]){"name", "note", "extends",
                                                      "revision", "$schema", NULL};
         *k; k++)
        put_type(&w, *k, "string");
    json_member(&w, "seeds");
    json_raw(&w, "{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0},"
                 "\"minItems\":1,"
                 "\"uniqueItems\":true}");
    put_type(&w, "tasks", "object");
    json_member(&w, "record");
    put_ref(&w, "#/$defs/record");
    json_member(&w, "stages");
    json_raw(
        &w,
        "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/$defs/stage\"}}");
    json_member(&w, "sweep");
    put_ref(&w, "#/$defs/sweep");
    json_object_end(&w);
    json_member(&w, "additionalProperties");
    json_flag(&w, false);
    put_defs(&w);
    json_object_end(&w);
    strbuf_putc(out, '\n');
}
