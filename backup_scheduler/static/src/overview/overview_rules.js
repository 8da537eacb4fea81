import { DAY_KINDS, STATES } from "./overview_words";

const RANKS = Object.keys(STATES);
// An instance that cannot be reached, or of which no database is known, comes before those on which
// all is well.
const FAILING_RANK = RANKS.indexOf("failing");
const UNKNOWN_RANK = RANKS.indexOf("unprotected");
const WELL_RANK = RANKS.indexOf("protected");
// With no more databases than this, all instances are open at first.
export const FEW_DATABASES = 30;

/** @returns {number} lower is worse */
export function rankOf(row) {
    const rank = RANKS.indexOf(row.state);
    return row.failure ? Math.min(rank, FAILING_RANK) : rank;
}

function rankOfInstance(instance) {
    const ranks = instance.databases.map(rankOf);
    if (instance.check_status === "error") {
        ranks.push(FAILING_RANK);
    } else if (!ranks.length) {
        ranks.push(UNKNOWN_RANK);
    }
    return Math.min(...ranks);
}

/** Put what is worst, and most of it, first. Changes the order of what it is given. */
export function sortWorstFirst(instances) {
    for (const instance of instances) {
        instance.rank = rankOfInstance(instance);
        instance.worst =
            instance.rank < WELL_RANK &&
            instance.databases.filter((row) => rankOf(row) === instance.rank).length;
        instance.databases.sort(
            (a, b) =>
                rankOf(a) - rankOf(b) ||
                // Of those that are late, the one that is so for longest.
                (a.state === "late" && b.state === "late"
                    ? a.late_at.localeCompare(b.late_at)
                    : 0) ||
                a.name.localeCompare(b.name)
        );
    }
    return instances.sort(
        (a, b) => a.rank - b.rank || b.worst - a.worst || a.name.localeCompare(b.name)
    );
}

export function hasState(row, state) {
    return state === "failing" ? Boolean(row.failure) : row.state === state;
}

/** @returns {Object} how many databases of an instance have each state, in the page's order */
export function countStates(databases) {
    const counts = {};
    for (const state of RANKS) {
        const count = databases.filter((row) => hasState(row, state)).length;
        if (count) {
            counts[state] = count;
        }
    }
    return counts;
}

function matching(instance, search, state) {
    const named = !search || instance.name.toLowerCase().includes(search);
    return instance.databases.filter(
        (row) =>
            (named || row.name.toLowerCase().includes(search)) && (!state || hasState(row, state))
    );
}

/**
 * Choose what of the page is in the DOM: never more than ``limit`` rows, however many there are.
 *
 * @param {Object[]} instances worst first
 * @param {Object} view
 * @param {string} view.search part of a name
 * @param {string} view.state only databases of this state
 * @param {Map<number, boolean>} view.opened which instances were opened or closed by hand
 * @param {Set<number>} view.unfolded instances of which the databases that are gone are shown
 * @param {number} view.limit rows of instances and databases
 * @returns {{groups: Object[], left: number}} ``left``: the rows that are not shown
 */
export function arrange(instances, view) {
    const search = view.search.trim().toLowerCase();
    const total = instances.reduce((sum, instance) => sum + instance.databases.length, 0);
    const narrowed = Boolean(search || view.state);
    const groups = [];
    let left = 0;
    let room = view.limit;
    for (const instance of instances) {
        const rows = matching(instance, search, view.state);
        const named = !view.state && instance.name.toLowerCase().includes(search);
        if (narrowed && !rows.length && !named) {
            continue;
        }
        const absent = rows.filter((row) => row.state === "absent").length;
        const folded = absent && view.state !== "absent" && !view.unfolded.has(instance.id);
        const wanted = folded ? rows.filter((row) => row.state !== "absent") : rows;
        const byItself = narrowed || total <= FEW_DATABASES || instance.rank < WELL_RANK;
        const open = view.opened.get(instance.id) ?? byItself;
        if (room <= 0) {
            left += 1 + (open ? wanted.length : 0);
            continue;
        }
        const shown = open ? wanted.slice(0, room - 1) : [];
        room -= 1 + shown.length;
        left += open ? wanted.length - shown.length : 0;
        groups.push({
            instance,
            open,
            rows: shown,
            counts: countStates(rows),
            folded: folded ? absent : 0,
        });
    }
    return { groups, left };
}

/**
 * Read the strip of a database.
 *
 * @param {{kinds: string, counts: Object}} strip of the server
 * @param {Object[]} days of the server
 * @returns {Object[]} a cell a day: its day, kind, counts, and whether something also went wrong
 */
export function readStrip(strip, days) {
    return days.map((day, number) => {
        const letter = strip.kinds[number];
        const kind = DAY_KINDS[letter];
        const single = letter === "-" ? {} : { [kind.name]: 1 };
        const counts = strip.counts[number] || single;
        const good = letter === "v" || letter === "s";
        const marked = good && Boolean(counts.failed || counts.missed);
        return { number, day, kind, counts, marked };
    });
}

/** @returns {Map<string, number>} how many days there are of each kind, most telling kinds first */
export function countDays(cells) {
    const counts = new Map();
    for (const kind of Object.values(DAY_KINDS)) {
        const count = cells.filter((cell) => cell.kind === kind).length;
        if (count) {
            counts.set(kind.word, count);
        }
    }
    return counts;
}

/** @returns {string} by which what goes on with a database is found */
export function activeKey(instanceId, database) {
    return `${instanceId}/${database}`;
}
