/* SPDX-License-Identifier: MIT */
#include "core/memory.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILE_BYTES = 8192 };

/* The beginning of a small file, as text; false if it cannot be read. No stdio: that allocates. */
static bool read_text(char text[FILE_BYTES], const char *root, const char *path)
{
    char name[PATH_MAX];
    int length = snprintf(name, sizeof name, "%s%s", root, path);
    text[0] = '\0';
    if (length < 0 || (size_t)length >= sizeof name)
        return false;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t got = 0;
    ssize_t n;
    while ((n = read(fd, text + got, FILE_BYTES - 1 - got)) > 0)
        got += (size_t)n;
    close(fd);
    text[got] = '\0';
    return got > 0;
}

/* The number at the beginning of text; SIZE_MAX where there is none ("max"). */
static size_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    return end == text || value > SIZE_MAX ? SIZE_MAX : (size_t)value;
}

/* The number behind a word that begins a line; otherwise if there is none. */
static size_t field(const char *text, const char *word, size_t otherwise)
{
    size_t length = strlen(word);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, length) == 0)
            return number(line + length);
    }
    return otherwise;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t less(size_t a, size_t b) { return a > b ? a - b : 0; }

/* What the names of a version's files are. */
typedef struct cgroup_version {
    const char *mount, *limit, *usage;
} cgroup_version;

/* What one group leaves: pages of files count as used there, but are given back when wanted. */
static size_t group_leaves(const char *root, const cgroup_version *v, const char *group)
{
    char text[FILE_BYTES], path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s/%s", v->mount, group, v->limit);
    size_t limit = read_text(text, root, path) ? number(text) : SIZE_MAX;
    if (limit == SIZE_MAX)
        return SIZE_MAX;
    snprintf(path, sizeof path, "%s%s/%s", v->mount, group, v->usage);
    size_t used = read_text(text, root, path) ? number(text) : 0;
    snprintf(path, sizeof path, "%s%s/memory.stat", v->mount, group);
    if (read_text(text, root, path)) {
        used = less(used, field(text, "inactive_file ", 0));
        used = less(used, field(text, "active_file ", 0));
    }
    return less(limit, used);
}

/* The group and those above it. Inside a container the files may lie at the mount itself, whatever
 * the group is called. */
static size_t groups_leave(const char *root, const cgroup_version *v, char *group)
{
    size_t leaves = group_leaves(root, v, "");
    for (char *slash; (slash = strrchr(group, '/')); *slash = '\0')
        leaves = least(leaves, group_leaves(root, v, group));
    return leaves;
}

/* Whether a list such as "cpu,memory" has the word memory. */
static bool names_memory(const char *list, size_t length)
{
    static const char word[] = "memory";
    size_t n = sizeof word - 1;
    for (size_t i = 0; i + n <= length; i++)
        if (strncmp(list + i, word, n) == 0 && (i == 0 || list[i - 1] == ',') &&
            (i + n == length || list[i + n] == ','))
            return true;
    return false;
}

/* /proc/self/cgroup has lines ID:CONTROLLERS:GROUP; version 2's has no controllers. */
static size_t cgroups_leave(const char *root)
{
    static const cgroup_version one = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                       "memory.usage_in_bytes"},
                                two = {"/sys/fs/cgroup", "memory.max", "memory.current"};
    char text[FILE_BYTES];
    size_t leaves = SIZE_MAX;
    if (!read_text(text, root, "/proc/self/cgroup"))
        return leaves;
    for (char *next, *line = text; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group || strlen(group) > PATH_MAX / 2)
            continue;
        size_t length = (size_t)(group - list - 1);
        if (length == 0)
            leaves = least(leaves, groups_leave(root, &two, group + 1));
        else if (names_memory(list + 1, length))
            leaves = least(leaves, groups_leave(root, &one, group + 1));
    }
    return leaves;
}

size_t tg__memory_available_at(const char *root, size_t address_limit)
{
    char text[FILE_BYTES];
    size_t available = SIZE_MAX;
    if (read_text(text, root, "/proc/meminfo")) {
        size_t kib = field(text, "MemAvailable:", SIZE_MAX);
        available = kib > SIZE_MAX / 1024 ? SIZE_MAX : kib * 1024;
    }
    if (address_limit != SIZE_MAX && read_text(text, root, "/proc/self/statm"))
        available =
            least(available, less(address_limit, number(text) * (size_t)sysconf(_SC_PAGESIZE)));
    return least(available, cgroups_leave(root));
}

size_t tg__memory_available(void)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return tg__memory_available_at("", limited ? (size_t)limit.rlim_cur : SIZE_MAX);
}
