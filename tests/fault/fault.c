/* fault.c - walks every point at which a disk can fail or a process can be cut, and what a power cut may leave.
 *   fault            everything (minutes)
 *   fault --quick    a seeded sample of it
 *   fault --planted  each planted defect must be seen
 *   --seed N  --jobs N  --only SCENARIO
 * Prints what it tried, and at the end "N passed, N failed".
 * Runs in: tests. Trusts: nothing. Never: asserts a time. */
#include "tests/fault/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    uint64_t seed;
    unsigned jobs;
    bool quick;
    const char *only;
    char place[120];
} options = {.seed = 20260101, .jobs = 2};

static const struct {
    enum fault fault;
    unsigned quick_share; /* one in so many of them when it is quick */
} faults[] = {{FAULT_EIO, 4},     {FAULT_ENOSPC, 6}, {FAULT_SHORT, 6},      {FAULT_SHORT_ENOSPC, 6}, {FAULT_FULL, 12},
              {FAULT_BROKEN, 12}, {FAULT_CUT, 4},    {FAULT_CUT_AGENT, 12}, {FAULT_CUT_HALF, 6}};
enum { N_FAULTS = sizeof faults / sizeof faults[0], QUICK_STEPS = 3, RECOVERIES = 12, QUICK_RECOVERIES = 1 };

static bool chosen(uint64_t item, unsigned share) {
    return !options.quick || walk_hash(options.seed ^ item * 0x9e3779b97f4a7c15U) % share == 0;
}

static void work(struct walk *walk, struct tally *tally) {
    uint32_t calls = walk->counted->calls, steps = walk->counted->n_steps;
    uint32_t recoveries = options.quick ? QUICK_RECOVERIES : RECOVERIES;
    for (;;) {
        uint32_t item = atomic_fetch_add(&tally->next, 1);
        if (item <= steps) {
            if (chosen(item, QUICK_STEPS)) walk_power(walk, item);
            continue;
        }
        item -= steps + 1;
        if (item < calls * N_FAULTS) {
            uint32_t call = item / N_FAULTS + 1, fault = item % N_FAULTS;
            if (chosen(item + 1000000, faults[fault].quick_share) &&
                tape_fits(walk->counted, faults[fault].fault, call))
                walk_fault(walk, call, faults[fault].fault);
            continue;
        }
        item -= calls * N_FAULTS;
        if (item >= recoveries) return;
        /* A worker's image only goes forward: a new one. */
        image_free(walk->image);
        walk->image = image_make(walk->counted), walk->at = 0;
        walk_recovery(walk, steps / (recoveries + 1) * (item + 1));
    }
}

static bool work_all(const struct scenario *scenario, struct tally *tally, enum plant plant,
                     uint32_t out[2 + CALLS]) {
    struct walk walk;
    pid_t pids[16];
    if (!walk_make(&walk, scenario, tally, options.place, options.seed, options.quick, plant)) {
        walk_free(&walk);
        return false;
    }
    out[0] = walk.counted->calls, out[1] = walk.counted->n_steps;
    for (uint32_t i = 1; i <= out[0]; i++) out[2 + (walk.counted->kinds[i] & 127)]++;
    for (unsigned i = 0; i < options.jobs; i++) {
        fflush(NULL);
        if ((pids[i] = fork()) != 0) continue;
        char place[160];
        snprintf(place, sizeof place, "%s/%u", options.place, 1000000 + i);
        if (mkdir(place, 0700) != 0) abort();
        walk.place = place;
        walk.tape = tape_make(), walk.plain = tape_make();
        walk.report = mmap(NULL, sizeof *walk.report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (walk.report == MAP_FAILED) abort();
        work(&walk, tally);
        if (rmdir(place) != 0) abort();
        _exit(0);
    }
    bool good = true;
    for (unsigned i = 0; i < options.jobs; i++) {
        int status = 0;
        waitpid(pids[i], &status, 0);
        if (status != 0) printf("  a worker ends with %x\n", status);
        good &= status == 0;
    }
    walk_free(&walk);
    return good;
}

static int by_words(const void *a, const void *b) {
    return strcmp(a, b);
}

static unsigned points(const struct tally *tally) {
    return tally->failed_calls + tally->cut + tally->cut_agent + tally->power + tally->power_after + tally->recovery;
}

/* Which calls the walked life makes. */
static void print_kinds(const uint32_t counts[CALLS]) {
    printf("             ");
    for (enum call call = 0; call < CALLS; call++)
        if (counts[call]) printf(" %u %s", counts[call], tape_call_name(call));
    printf("\n");
}

static void print_words(struct tally *tally) {
    unsigned n = tally->n_words < 40 ? tally->n_words : 40;
    qsort(tally->words, n, WALK_WORDS, by_words);
    for (unsigned i = 0; i < n; i++) printf("  FAILED %s\n", tally->words[i]);
    if (tally->n_words > 40) printf("  and %u more\n", tally->n_words - 40);
}

static struct tally *tally_make(void) {
    void *p = mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) abort();
    return p;
}

static void walk_all(unsigned *passed, unsigned *failed) {
    unsigned sums[6] = {0};
    for (size_t i = 0; i < SCENARIOS; i++) {
        if (options.only && strcmp(options.only, scenarios[i].name) != 0) continue;
        struct tally *tally = tally_make();
        uint32_t counts[2 + CALLS] = {0};
        bool good = work_all(&scenarios[i], tally, PLANT_NONE, counts);
        printf(
            "  %-10s %4u calls, %3u changes: %5u failed, %4u cut, %3u agents cut, %5u power cuts, %5u after a fault, "
            "%4u in recovery\n",
            scenarios[i].name, counts[0], counts[1], tally->failed_calls, tally->cut, tally->cut_agent, tally->power,
            tally->power_after, tally->recovery);
        print_kinds(counts + 2);
        print_words(tally);
        const unsigned parts[6] = {tally->failed_calls, tally->cut,         tally->cut_agent,
                                   tally->power,        tally->power_after, tally->recovery};
        for (size_t k = 0; k < 6; k++) sums[k] += parts[k];
        unsigned bad = tally->bad + !good, n = points(tally);
        *failed += bad, *passed += n > bad ? n - bad : 0;
        munmap(tally, sizeof *tally);
        fflush(stdout);
    }
    printf(
        "  fault points: %u calls failed, %u cut, %u agents cut; power cut: %u disks, %u after a fault; %u faults in "
        "recovery\n",
        sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]);
}

static void walk_planted(unsigned *passed, unsigned *failed) {
    for (enum plant plant = PLANT_NONE + 1; plant < PLANTS; plant++) {
        unsigned bad = 0, n = 0;
        char words[WALK_WORDS] = "";
        for (size_t i = 0; i < SCENARIOS && !bad; i++) {
            struct tally *tally = tally_make();
            uint32_t counts[2 + CALLS] = {0};
            (void)work_all(&scenarios[i], tally, plant, counts);
            bad = tally->bad, n += points(tally);
            if (bad) snprintf(words, sizeof words, "%s", tally->words[0]);
            munmap(tally, sizeof *tally);
        }
        printf("  %-45s %s (%u of %u)%s%s\n", tape_plant_name(plant), bad ? "red" : "NOT SEEN", bad, n,
               bad ? "; " : "", words);
        *(bad ? passed : failed) += 1;
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    bool planted = false;
    unsigned passed = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--quick") == 0)
            options.quick = true;
        else if (strcmp(argv[i], "--planted") == 0)
            planted = options.quick = true;
        else if (strcmp(argv[i], "--seed") == 0)
            options.seed = strtoull(value, NULL, 0), i++;
        else if (strcmp(argv[i], "--jobs") == 0)
            options.jobs = (unsigned)strtoul(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--only") == 0)
            options.only = value, i++;
        else
            return fprintf(stderr, "usage: fault [--quick | --planted] [--seed N] [--jobs N] [--only SCENARIO]\n"), 2;
    }
    if (options.jobs < 1 || options.jobs > 16) options.jobs = 2;
    snprintf(options.place, sizeof options.place, "%s/gatepost-fault-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(options.place)) return perror("fault"), 1;
    printf("  seed %llu\n", (unsigned long long)options.seed);
    if (planted)
        walk_planted(&passed, &failed);
    else
        walk_all(&passed, &failed);
    if (rmdir(options.place) != 0) perror(options.place);
    printf("%u passed, %u failed\n", passed, failed);
    return failed || !passed;
}
