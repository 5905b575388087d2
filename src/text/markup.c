/* SPDX-License-Identifier: MIT */
/* Follows html.parser of Python 3.11, whose ways with broken markup are its own: what it cannot
 * finish it looks at a second time as if the text ended there. */
#include "text/markup.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "text/caption_tables.h"
#include "text/unicode.h"

enum { NOT_A_CHARACTER = 0xFFFD, MOST_CODE = 0x10FFFF, MOST_NAME = 40 };

static bool is_letter(int32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(int32_t c) { return c >= '0' && c <= '9'; }
static bool is_alphanumeric(int32_t c) { return is_letter(c) || is_digit(c); }

static int hex_digit(int32_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int32_t code_at(const tg__chars *text, size_t i)
{
    return i < text->count ? text->at[i].code : -1;
}

/* ------------------------------------------------------------------------------------- entities */

/* The entity of a name that one of these takes; NULL: none. */
static const tg__entity *find_entity(const char *name, int flags)
{
    size_t low = 0, high = tg__entities_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(tg__entities[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < tg__entities_count && strcmp(tg__entities[low].name, name) == 0; low++)
        if (tg__entities[low].flags & flags)
            return &tg__entities[low];
    return NULL;
}

static bool push(tg__chars *dst, int32_t code) { return tg__chars_push(dst, code, 0); }

static bool push_entity(tg__chars *dst, const tg__entity *e)
{
    bool ok = true;
    for (int i = 0; i < 3 && e->text[i]; i++)
        ok = ok && push(dst, e->text[i]);
    return ok;
}

/* ASCII of [start, stop); false if it is longer or something else. */
static bool name_of(char name[MOST_NAME], const tg__chars *text, size_t start, size_t stop)
{
    if (stop - start >= MOST_NAME)
        return false;
    for (size_t i = start; i < stop; i++) {
        if (text->at[i].code < 1 || text->at[i].code > 127)
            return false;
        name[i - start] = (char)text->at[i].code;
    }
    name[stop - start] = '\0';
    return true;
}

/* The number from *at on, in base 10 or 16, behind which *at then is; -1: there is none. Too large
 * a number is above MOST_CODE. */
static int64_t number_at(const tg__chars *text, size_t *at, int base)
{
    int64_t value = -1;
    for (int digit; (digit = hex_digit(code_at(text, *at))) >= 0 && digit < base; (*at)++) {
        value = (value < 0 ? 0 : value) * base + digit;
        value = value > MOST_CODE ? MOST_CODE + 1 : value;
    }
    return value;
}

/* What Windows-1252 has where Unicode has controls; 0: nothing. */
static int32_t windows_1252(int64_t code)
{
    static const int32_t table[32] = {
        0x20AC, 0,      0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
        0x2039, 0x152,  0,      0x17D,  0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0,      0x17E,  0x178};
    return code >= 0x80 && code <= 0x9F ? table[code - 0x80] : 0;
}

static bool is_noncharacter(int64_t code)
{
    return (code >= 0xFDD0 && code <= 0xFDEF) || (code & 0xFFFE) == 0xFFFE;
}

/* html's: some numbers are nothing. */
static bool push_number(tg__chars *dst, int64_t code)
{
    if (code == 0 || (code >= 0xD800 && code <= 0xDFFF) || code > MOST_CODE)
        return push(dst, NOT_A_CHARACTER);
    if (code >= 0x80 && code <= 0x9F)
        return push(dst, windows_1252(code) ? windows_1252(code) : (int32_t)code);
    bool control = (code < 0x20 && code != '\t' && code != '\n' && code != '\f' && code != '\r') ||
                   code == 0x7F || is_noncharacter(code);
    return control || push(dst, (int32_t)code);
}

/* Behind "&#". *at stays where no number is. */
static bool unescape_number(tg__chars *dst, const tg__chars *text, size_t *at)
{
    bool hex = (code_at(text, *at + 2) | 32) == 'x';
    size_t i = *at + 2 + hex;
    int64_t code = number_at(text, &i, hex ? 16 : 10);
    if (code < 0)
        return true;
    *at = code_at(text, i) == ';' ? i + 1 : i;
    return push_number(dst, code);
}

static bool ends_name(int32_t c)
{
    return c == '\t' || c == '\n' || c == '\f' || c == ' ' || c == '<' || c == '&' || c == '#' ||
           c == ';';
}

/* Behind "&": the longest name that is known. *at stays where none is. */
static bool unescape_name(tg__chars *dst, const tg__chars *text, size_t *at)
{
    enum { MOST = 32 };
    size_t start = *at + 1, stop = start;
    char name[MOST_NAME];
    while (stop < text->count && stop - start < MOST && !ends_name(text->at[stop].code))
        stop++;
    const tg__entity *found = NULL;
    bool whole = code_at(text, stop) == ';';
    if (whole && name_of(name, text, start, stop) &&
        (found = find_entity(name, TG__ENTITY_SEMICOLON))) {
        *at = stop + 1;
        return push_entity(dst, found);
    }
    for (; stop > start + 1; stop--)
        if (name_of(name, text, start, stop) && (found = find_entity(name, TG__ENTITY_BARE))) {
            *at = stop;
            return push_entity(dst, found);
        }
    return true;
}

/* Takes `made` in the place of text. */
static bool settle(tg__chars *text, tg__chars *made, bool ok)
{
    tg__chars_free(ok ? text : made);
    if (ok)
        *text = *made;
    return ok;
}

bool tg__unescape(tg__chars *text)
{
    tg__chars made = {0};
    bool ok = true;
    for (size_t at = 0; at < text->count && ok;) {
        size_t before = at;
        if (text->at[at].code == '&')
            ok = code_at(text, at + 1) == '#' ? unescape_number(&made, text, &at)
                                              : unescape_name(&made, text, &at);
        if (ok && at == before)
            ok = push(&made, text->at[at++].code);
    }
    return settle(text, &made, ok);
}

/* "&name;" or "&#number;" of 24 letters and digits at most. */
static bool unescape_strict(tg__chars *dst, const tg__chars *text, size_t *at)
{
    enum { MOST = 24 };
    bool number = code_at(text, *at + 1) == '#';
    size_t start = *at + 1 + number, stop = start;
    char name[MOST_NAME];
    while (stop - start < MOST && is_alphanumeric(code_at(text, stop)))
        stop++;
    if (stop == start || code_at(text, stop) != ';')
        return true;
    if (number) {
        size_t end = *at;
        size_t count = dst->count;
        bool ok = unescape_number(dst, text, &end);
        bool semicolon = dst->count > count && dst->at[count].code == ';';
        if (end == stop + 1 && !semicolon)
            *at = end;
        else
            dst->count = count; /* what has a semicolon in it stays */
        return ok;
    }
    const tg__entity *found =
        name_of(name, text, start, stop) ? find_entity(name, TG__ENTITY_FTFY) : NULL;
    if (!found)
        return true;
    *at = stop + 1;
    return push_entity(dst, found);
}

bool tg__unescape_strictly(tg__chars *text)
{
    tg__chars made = {0};
    bool ok = true;
    for (size_t at = 0; at < text->count && ok;) {
        size_t before = at;
        if (text->at[at].code == '&')
            ok = unescape_strict(&made, text, &at);
        if (ok && at == before)
            ok = push(&made, text->at[at++].code);
    }
    return settle(text, &made, ok);
}

/* ----------------------------------------------------------------------------------------- tree */

/* A tag's name is where it stood in the source. */
typedef struct tag {
    size_t start, stop;
    bool hidden, preformatted; /* its strings are no text; white space in it is kept */
} tag;

typedef struct soup {
    const tg__chars *src;
    tg__effort *effort;
    tg__chars text, data; /* what has been found; the string that is being read */
    tag *tags;            /* that are open */
    size_t count, room;
    int hidden, preformatted; /* how many of the open ones are */
    bool ok;                  /* there was memory */
    bool refused;
    bool ends;       /* the second look: nothing more comes */
    const char *raw; /* script or style, whose end alone counts; NULL: no */
    size_t at;
} soup;

static void add_data(soup *s, size_t start, size_t stop)
{
    for (size_t i = start; i < stop && s->ok; i++)
        s->ok = push(&s->data, s->src->at[i].code);
}

static bool is_blank(int32_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\f' || c == '\r';
}

/* A string ends; it is text unless it is a comment or something like that. */
static void end_data(soup *s, bool is_text)
{
    bool blank = s->data.count > 0 && s->preformatted == 0, line = false;
    for (size_t i = 0; i < s->data.count; i++) {
        blank = blank && is_blank(s->data.at[i].code);
        line = line || s->data.at[i].code == '\n';
    }
    for (size_t i = 0; is_text && !blank && i < s->data.count && s->ok; i++)
        s->ok = push(&s->text, s->data.at[i].code);
    if (is_text && blank)
        s->ok = s->ok && push(&s->text, line ? '\n' : ' ');
    s->data.count = 0;
}

static void end_string(soup *s) { end_data(s, s->hidden == 0); }

static bool is_name(const soup *s, size_t start, size_t stop, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n && stop - start == n; i++)
        if (s->src->at[start + i].code != name[i])
            return false;
    return stop - start == n;
}

static bool is_among(const soup *s, const tag *t, const char *const *names)
{
    while (*names && !is_name(s, t->start, t->stop, *names))
        names++;
    return *names != NULL;
}

static void pop(soup *s)
{
    const tag *t = &s->tags[--s->count];
    s->hidden -= t->hidden;
    s->preformatted -= t->preformatted;
}

static bool same_name(const soup *s, const tag *a, const tag *b)
{
    if (a->stop - a->start != b->stop - b->start)
        return false;
    for (size_t i = 0; i < a->stop - a->start; i++)
        if (s->src->at[a->start + i].code != s->src->at[b->start + i].code)
            return false;
    return true;
}

/* Closes the last open tag of this name and all that were opened since. */
static void close_tag(soup *s, size_t start, size_t stop)
{
    tag closing = {.start = start, .stop = stop};
    size_t depth = s->count;
    end_string(s);
    while (depth > 0 && !same_name(s, &s->tags[depth - 1], &closing))
        depth--;
    while (depth > 0 && s->count >= depth)
        pop(s);
}

static void open_tag(soup *s, size_t start, size_t stop, bool closed)
{
    static const char *const hidden[] = {"rt", "rp", "style", "script", "template", NULL};
    static const char *const preformatted[] = {"pre", "textarea", NULL};
    static const char *const empty[] = {"area",   "base",     "basefont", "bgsound", "br",
                                        "col",    "command",  "embed",    "frame",   "hr",
                                        "image",  "img",      "input",    "isindex", "keygen",
                                        "link",   "menuitem", "meta",     "nextid",  "param",
                                        "source", "spacer",   "track",    "wbr",     NULL};
    tag t = {.start = start, .stop = stop};
    t.hidden = is_among(s, &t, hidden);
    t.preformatted = is_among(s, &t, preformatted);
    end_string(s);
    if (!s->ok || !tg__grow((void **)&s->tags, s->count, &s->room, sizeof *s->tags)) {
        s->ok = false;
        return;
    }
    s->tags[s->count++] = t;
    s->hidden += t.hidden;
    s->preformatted += t.preformatted;
    if (closed || is_among(s, &t, empty))
        close_tag(s, start, stop);
    else if (is_name(s, start, stop, "script"))
        s->raw = "</\\s*script\\s*>";
    else if (is_name(s, start, stop, "style"))
        s->raw = "</\\s*style\\s*>";
}

/* --------------------------------------------------------------------------------------- markup */

enum { INCOMPLETE = -1 };

static bool fits(const soup *s, const char *pattern, size_t at, tg__match *match)
{
    return tg__regex_at(pattern, s->src, at, match, s->effort);
}

/* Behind what fits next; INCOMPLETE: nothing does. */
static int64_t behind(const soup *s, const char *pattern, size_t from, tg__match *match)
{
    return tg__regex_find(pattern, s->src, from, match, s->effort) ? (int64_t)match->stop[0]
                                                                   : INCOMPLETE;
}

static bool starts_with(const soup *s, size_t at, const char *word)
{
    for (size_t i = 0; word[i]; i++)
        if (code_at(s->src, at + i) != word[i])
            return false;
    return true;
}

static int64_t end_of_start_tag(const soup *s, size_t at)
{
    static const char *const whole =
        "<[a-zA-Z][^\t\n\r\f />\\x00]*(?:[\\s/]*(?:(?<=['\"\\s/])[^\\s/>][^\\s/=>]*(?:\\s*=+\\s*"
        "(?:'[^']*'|\"[^\"]*\"|(?!['\"])[^>\\s]*)\\s*)?(?:\\s|/(?!>))*)*)?\\s*";
    tg__match m;
    if (!fits(s, whole, at, &m))
        return INCOMPLETE;
    size_t j = m.stop[0];
    int32_t next = code_at(s->src, j);
    if (next == '>')
        return (int64_t)j + 1;
    if (next == '/')
        return starts_with(s, j, "/>") ? (int64_t)j + 2 : INCOMPLETE;
    if (next < 0 || next == '=' || is_letter(next))
        return INCOMPLETE;
    return (int64_t)(j > at ? j : at + 1);
}

static int64_t start_tag(soup *s, size_t at)
{
    static const char *const name = "([a-zA-Z][^\t\n\r\f />\\x00]*)(?:\\s|/(?!>))*";
    static const char *const attribute =
        "(?<=['\"\\s/])[^\\s/>][^\\s/=>]*(?:\\s*=+\\s*(?:'[^']*'|\"[^\"]*\"|(?!['\"])[^>\\s]*))?"
        "(?:\\s|/(?!>))*";
    int64_t end = end_of_start_tag(s, at);
    tg__match m, a;
    if (end < 0 || !fits(s, name, at + 1, &m))
        return end;
    size_t k = m.stop[0], stop = (size_t)end;
    while (k < stop && fits(s, attribute, k, &a))
        k = a.stop[0];
    while (k < stop && tg__unicode_flags(s->src->at[k].code) & TG__SPACE)
        k++;
    bool closed = k + 2 == stop && starts_with(s, k, "/>");
    if (!closed && !(k + 1 == stop && starts_with(s, k, ">")))
        add_data(s, at, stop);
    else
        open_tag(s, m.start[1], m.stop[1], closed);
    return end;
}

/* Up to the next ">"; nothing of it is text. */
static int64_t skip(soup *s, size_t from)
{
    tg__match m;
    int64_t end = behind(s, ">", from, &m);
    if (end >= 0)
        end_string(s);
    return end;
}

static int64_t end_tag(soup *s, size_t at)
{
    tg__match m;
    int64_t end = behind(s, ">", at + 1, &m);
    if (end < 0)
        return end;
    if (fits(s, "</\\s*([a-zA-Z][-.a-zA-Z0-9:_]*)\\s*>", at, &m)) {
        close_tag(s, m.start[1], m.stop[1]);
        s->raw = NULL;
        return (int64_t)m.stop[0];
    }
    if (!fits(s, "([a-zA-Z][^\t\n\r\f />\\x00]*)(?:\\s|/(?!>))*", at + 2, &m))
        return starts_with(s, at, "</>") ? (int64_t)at + 3 : skip(s, at + 2);
    size_t start = m.start[1], stop = m.stop[1];
    end = behind(s, ">", m.stop[0], &m); /* there is one: a name has none */
    close_tag(s, start, stop);
    return end;
}

/* "<![name[ … ]]>". */
static int64_t marked_section(soup *s, size_t at)
{
    tg__match m, name;
    size_t start = at + 3;
    if (start == s->src->count)
        return INCOMPLETE;
    if (!fits(s, "([a-zA-Z][-_.a-zA-Z0-9]*)\\s*", start, &name)) {
        s->refused = true;
        return INCOMPLETE;
    }
    if (name.stop[0] == s->src->count)
        return INCOMPLETE;
    bool standard =
        fits(s, "(?:temp|cdata|ignore|include|rcdata)", start, &m) && m.stop[0] == name.stop[1];
    bool office = fits(s, "(?:if|else|endif)", start, &m) && m.stop[0] == name.stop[1];
    s->refused = !standard && !office;
    if (s->refused)
        return INCOMPLETE;
    int64_t end = behind(s, standard ? "\\]\\s*\\]\\s*>" : "\\]\\s*>", start, &m);
    if (end < 0)
        return end;
    end_string(s);
    if (starts_with(s, start, "cdata[")) {
        add_data(s, start + strlen("cdata["), m.start[0]);
        end_data(s, true);
    }
    return end;
}

static int64_t declaration(soup *s, size_t at)
{
    if (starts_with(s, at, "<!["))
        return marked_section(s, at);
    return skip(s, starts_with(s, at, "<!doctype") ? at + strlen("<!doctype") : at + 2);
}

/* What begins with "<" at s->at. False: it waits for the second look, or is the last. */
static bool read_tag(soup *s)
{
    size_t at = s->at, n = s->src->count;
    tg__match m;
    int64_t end;
    if (is_letter(code_at(s->src, at + 1))) {
        end = start_tag(s, at);
    } else if (starts_with(s, at, "</")) {
        end = end_tag(s, at);
    } else if (starts_with(s, at, "<!--")) {
        end = behind(s, "--\\s*>", at + 4, &m);
        if (end >= 0)
            end_string(s);
    } else if (starts_with(s, at, "<?")) {
        end = skip(s, at + 2);
    } else if (starts_with(s, at, "<!")) {
        end = declaration(s, at);
    } else if (at + 1 < n) {
        add_data(s, at, at + 1);
        end = (int64_t)at + 1;
    } else {
        return false;
    }
    if (end < 0 && (s->refused || !s->ends))
        return false;
    if (end < 0) {
        end = behind(s, ">", at + 1, &m);
        if (end < 0)
            end = tg__regex_find("<", s->src, at + 1, &m, s->effort) ? (int64_t)m.start[0]
                                                                     : (int64_t)at + 1;
        add_data(s, at, (size_t)end);
    }
    s->at = (size_t)end;
    return true;
}

/* "&#number", behind which there is something, but no digit. */
static bool read_number(soup *s)
{
    size_t at = s->at, i = at + 2, stop;
    bool hex = (code_at(s->src, i) | 32) == 'x';
    i += hex;
    size_t digits = i;
    while (hex ? hex_digit(code_at(s->src, i)) >= 0 : is_digit(code_at(s->src, i)))
        i++;
    stop = i;
    if (stop == digits || stop == s->src->count || hex_digit(code_at(s->src, stop)) >= 0) {
        tg__match m;
        if (tg__regex_find(";", s->src, at, &m, s->effort)) {
            add_data(s, at, at + 2);
            s->at = at + 2;
        }
        return false;
    }
    int64_t code = number_at(s->src, &digits, hex ? 16 : 10);
    if (code == 0 || code > MOST_CODE || (code >= 0xD800 && code <= 0xDFFF))
        code = NOT_A_CHARACTER;
    else if (windows_1252(code))
        code = windows_1252(code);
    s->ok = s->ok && push(&s->data, (int32_t)code);
    s->at = code_at(s->src, stop) == ';' ? stop + 1 : stop;
    return true;
}

/* What begins with "&". False as above. */
static bool read_reference(soup *s)
{
    size_t at = s->at, n = s->src->count;
    char name[MOST_NAME];
    tg__match m;
    if (code_at(s->src, at + 1) == '#')
        return read_number(s);
    if (fits(s, "&([a-zA-Z][-.a-zA-Z0-9]*)[^a-zA-Z0-9]", at, &m)) {
        const tg__entity *found = name_of(name, s->src, m.start[1], m.stop[1])
                                      ? find_entity(name, TG__ENTITY_SOUP)
                                      : NULL;
        if (found)
            s->ok = s->ok && push_entity(&s->data, found);
        else
            add_data(s, at, m.stop[1]);
        s->at = code_at(s->src, m.stop[1]) == ';' ? m.stop[1] + 1 : m.stop[1];
        return true;
    }
    if (is_letter(code_at(s->src, at + 1))) {
        if (s->ends && at + 2 == n)
            s->at = at + 1; /* the sign is lost */
        return false;
    }
    if (at + 1 == n)
        return false;
    add_data(s, at, at + 1);
    s->at = at + 1;
    return true;
}

static void look(soup *s)
{
    size_t n = s->src->count;
    bool more = true;
    while (more && s->at < n && s->ok && s->effort->left >= 0) {
        tg__match m;
        size_t next = n;
        if (tg__regex_find(s->raw ? s->raw : "[&<]", s->src, s->at, &m, s->effort))
            next = m.start[0];
        else if (s->raw)
            return;
        add_data(s, s->at, next);
        s->at = next;
        if (next == n)
            return;
        more = s->src->at[next].code == '<' ? read_tag(s) : read_reference(s);
    }
}

bool tg__markup_text(tg__chars *text, tg__effort *effort)
{
    soup s = {.src = text, .effort = effort, .ok = true};
    look(&s);
    s.ends = true;
    if (!s.refused)
        look(&s);
    if (!s.raw && s.at < text->count)
        add_data(&s, s.at, text->count);
    end_string(&s);
    free(s.tags);
    tg__chars_free(&s.data);
    if (s.refused) {
        tg__chars_free(&s.text);
        return true;
    }
    return settle(text, &s.text, s.ok);
}
