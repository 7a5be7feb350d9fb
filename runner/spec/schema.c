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

static void put_ref(struct json_writer *w, const char *name)
{
    json_object(w);
    put_pair(w, "$ref", name);
    json_object_end(w);
}

static void put_value(struct json_writer *w, const struct option *o)
{
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
    json_object_end(w);
}

static void put_option(struct json_writer *w, const struct option *o)
{
    json_member(w, o->name);
    json_object(w);
    json_member(w, "anyOf");
    json_array(w);
    put_value(w, o);
    if (!option_is_split(o))
        put_ref(w, "#/$defs/choice");
    json_array_end(w);
    if (o->help)
        put_pair(w, "description", o->help);
    if (o->def) {
        json_member(w, "default");
        json_raw(w, o->def);
    }
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
    json_member(w, "required");
    json_raw(w, "[\"do\"]");
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

/* The parts of the language that no table holds: names and texts, with ' for ". */
/* clang-format off */
static const struct {
    const char *name, *text;
} defs[] = {
    {"input",
     "{'anyOf': [{'type': 'string'},"
     "  {'type': 'object', 'required': ['from'], 'additionalProperties': false, 'properties': {"
     "    'from': {'type': 'string', 'description': 'the stage that makes it'},"
     "    'output': {'enum': ['model', 'scores', 'eval', 'stats', 'features']}}}]}"},
    {"choice",
     "{'type': 'object', 'required': ['from', 'value'], 'additionalProperties': false,"
     " 'description': 'the value at the point that a selection takes', 'properties': {"
     "    'from': {'type': 'string', 'description': 'the stage that selects'},"
     "    'value': {'type': 'string', 'description': 'stage.option',"
     "      'pattern': '^[A-Za-z0-9_-]+[.].+$'}}}"},
    {"values",
     "{'description': 'a list, a range, evenly spaced logarithms, or random draws',"
     " 'anyOf': [{'type': 'array'},"
     "  {'type': 'object', 'required': ['range'], 'additionalProperties': false, 'properties': {"
     "    'range': {'$ref': '#/$defs/three', 'description': '[from, to, step]'}}},"
     "  {'type': 'object', 'required': ['log'], 'additionalProperties': false, 'properties': {"
     "    'log': {'$ref': '#/$defs/three', 'description': '[from, to, count]'}}},"
     "  {'type': 'object', 'required': ['random'], 'additionalProperties': false, 'properties': {"
     "    'random': {'type': 'object', 'required': ['count'], 'additionalProperties': false,"
     "      'properties': {'count': {'type': 'integer', 'minimum': 1},"
     "        'low': {'type': 'number'}, 'high': {'type': 'number'},"
     "        'log': {'type': 'boolean'}, 'int': {'type': 'boolean'},"
     "        'choices': {'type': 'array'}, 'seed': {'type': 'integer', 'minimum': 0}}}}}]}"},
    {"three",
     "{'type': 'array', 'items': {'type': 'number'}, 'minItems': 3, 'maxItems': 3}"},
    {"variables",
     "{'type': 'object', 'additionalProperties': {'$ref': '#/$defs/values'}}"},
    {"sweep",
     "{'type': 'object', 'additionalProperties': false, 'properties': {"
     "  'grid': {'$ref': '#/$defs/variables', 'description': 'all combinations'},"
     "  'zip': {'$ref': '#/$defs/variables',"
     "    'description': 'the first of each, the second of each ...'},"
     "  'list': {'type': 'array', 'description': 'a point for each item',"
     "    'items': {'type': 'object', 'properties': {'label': {'type': 'string', 'minLength': 1}}}},"
     "  'concat': {'type': 'array', 'items': {'$ref': '#/$defs/sweep'}},"
     "  'when': {'type': 'array', 'items': {'$ref': '#/$defs/sweep'}},"
     "  'exclude': {'type': 'array', 'items': {'type': 'object'}},"
     "  'if': {'type': 'object', 'description': 'conditions of an item of when'}}}"},
    {"task",
     "{'type': 'object', 'required': ['kind', 'files'], 'additionalProperties': false,"
     " 'properties': {"
     "  'kind': {'enum': ['classes', 'regression', 'mlm']},"
     "  'summary': {'type': 'string'},"
     "  'files': {'type': 'object', 'description': 'the file of each split, by the spec',"
     "    'additionalProperties': {'type': 'string'}},"
     "  'format': {'enum': ['auto', 'tsv', 'jsonl'], 'default': 'auto'},"
     "  'columns': {'type': 'object', 'additionalProperties': false, 'properties': {"
     "    'a': {'$ref': '#/$defs/column'}, 'b': {'$ref': '#/$defs/column'},"
     "    'label': {'$ref': '#/$defs/column'}, 'id': {'$ref': '#/$defs/column'}}},"
     "  'header': {'type': 'boolean'},"
     "  'labels': {'type': 'array', 'items': {'type': 'string'}},"
     "  'metrics': {'type': 'array', 'items': {'type': 'string'}},"
     "  'max_len': {'type': 'integer', 'minimum': 3, 'maximum': 65536}}}"},
    {"column",
     "{'type': ['string', 'integer'], 'description': 'its name, or its number from 1'}"},
    {NULL, NULL},
};
/* clang-format on */

static void put_text(struct json_writer *w, const char *text)
{
    struct strbuf json = STRBUF_INIT;

    for (; *text; text++)
        strbuf_putc(&json, *text == '\'' ? '"' : *text);
    json_raw(w, strbuf_text(&json));
    w->out->failed = w->out->failed || json.failed;
    strbuf_release(&json);
}

static void put_defs(struct json_writer *w)
{
    json_member(w, "$defs");
    json_object(w);
    for (int i = 0; defs[i].name; i++) {
        json_member(w, defs[i].name);
        put_text(w, defs[i].text);
    }
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
    put_text(&w, "{'const': 1, 'description': 'version of the language'}");
    for (const char *const *k = (const char *const[]){"name", "note", "extends",
                                                      "revision", "$schema", NULL};
         *k; k++)
        put_type(&w, *k, "string");
    json_member(&w, "seeds");
    put_text(&w, "{'type': 'array', 'items': {'type': 'integer', 'minimum': 0},"
                 " 'minItems': 1, 'uniqueItems': true}");
    json_member(&w, "tasks");
    put_text(&w, "{'type': 'object', 'additionalProperties': {'$ref': '#/$defs/task'}}");
    json_member(&w, "record");
    put_ref(&w, "#/$defs/record");
    json_member(&w, "cluster");
    cluster_schema(&w, true);
    json_member(&w, "stages");
    put_text(&w, "{'type': 'object', 'additionalProperties': {'$ref': '#/$defs/stage'}}");
    json_member(&w, "sweep");
    put_ref(&w, "#/$defs/sweep");
    json_object_end(&w);
    json_member(&w, "additionalProperties");
    json_flag(&w, false);
    put_defs(&w);
    json_object_end(&w);
    strbuf_putc(out, '\n');
}
