import { deserializeDateTime, toLocaleDateString, toLocaleDateTimeString } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * How a database stands: its word, that after a number, its icon and Bootstrap's colour of it. The order is that of the
 * page: what is worst comes first. A database that is failing also has one of the other states.
 */
export const STATES = {
    late: { word: _t("Late"), counted: _t("late"), icon: "fa-clock-o", color: "danger" },
    failing: {
        word: _t("Failing"),
        counted: _t("failing"),
        icon: "fa-exclamation-triangle",
        color: "danger",
    },
    unprotected: {
        word: _t("Unprotected"),
        counted: _t("unprotected"),
        icon: "fa-unlock-alt",
        color: "warning",
    },
    pending: {
        word: _t("Waiting for a backup"),
        counted: _t("waiting for a backup"),
        icon: "fa-hourglass-half",
        color: "info",
    },
    protected: {
        word: _t("Protected"),
        counted: _t("protected"),
        icon: "fa-check-circle",
        color: "success",
    },
    absent: {
        word: _t("No longer there"),
        counted: _t("no longer there"),
        icon: "fa-ban",
        color: "secondary",
    },
};

/** What became of the runs of a day: the letter of the server, the class, and the word. */
export const DAY_KINDS = {
    r: { name: "running", word: _t("running") },
    v: { name: "verified", word: _t("verified") },
    s: { name: "stored", word: _t("stored") },
    f: { name: "failed", word: _t("failed") },
    m: { name: "missed", word: _t("missed") },
    k: { name: "skipped", word: _t("skipped") },
    c: { name: "cancelled", word: _t("cancelled") },
    "-": { name: "none", word: _t("none planned") },
};

/**
 * Say how long something is, in the one unit that people would use: 40 min, 30 h, 12 days.
 *
 * @param {number} seconds
 * @returns {string}
 */
export function sayDuration(seconds) {
    if (seconds < 90 * MINUTE) {
        return _t("%s min", Math.max(0, Math.round(seconds / MINUTE)));
    }
    if (seconds < 2 * DAY) {
        return _t("%s h", Math.round(seconds / HOUR));
    }
    return _t("%s days", Math.round(seconds / DAY));
}

/** @returns {number} seconds from one luxon moment to a moment of the server */
export function secondsUntil(text, now) {
    return deserializeDateTime(text).diff(now).as("seconds");
}

export function sayMoment(text) {
    return text ? toLocaleDateTimeString(deserializeDateTime(text), { showSeconds: false }) : "";
}

/** Say a moment that has passed as briefly as it is still clear: after a day, by its date. */
export function sayPast(text, now) {
    const recent = secondsUntil(text, now) > -DAY;
    return recent ? sayMoment(text) : toLocaleDateString(deserializeDateTime(text));
}

/** Say when something is, seen from now: “in 3 h”, or “now”. */
export function sayWhen(text, now) {
    const seconds = secondsUntil(text, now);
    return seconds < MINUTE ? _t("now") : _t("in %s", sayDuration(seconds));
}

export function sayPercent(change) {
    const rounded = Math.round(change);
    return rounded > 0 ? `+${rounded} %` : rounded < 0 ? `−${-rounded} %` : "±0 %";
}

function many(count, one, more) {
    return count === 1 ? one : more;
}

/** Say what is true of servers: of one by its name, of more by how many there are. */
function sayServers(names, one, more) {
    return names.length === 1 ? one(names[0]) : more(names.length);
}

/**
 * Say what is wrong, the worst first: what each part is about, and its state.
 *
 * Databases that are not known are on no list: of a server with none, the server itself is named.
 */
function* sayFaults({ late, failing, unprotected, unreachable, empty, incidents }) {
    if (late) {
        yield [many(late, _t("1 database is late"), _t("%s databases are late", late)), "late"];
    }
    if (failing) {
        const one = _t("the last backup of 1 database failed");
        yield [many(failing, one, _t("the last backups of %s databases failed", failing)), "failing"];
    }
    if (unreachable.length) {
        const one = (name) => _t("the connection to %s fails", name);
        const more = (count) => _t("the connection to %s servers fails", count);
        yield [sayServers(unreachable, one, more), "failing"];
    }
    if (incidents && !late && !failing && !unreachable.length) {
        const one = _t("1 incident is open");
        yield [many(incidents, one, _t("%s incidents are open", incidents)), "failing"];
    }
    if (unprotected) {
        const one = _t("no job backs up 1 database");
        yield [many(unprotected, one, _t("no job backs up %s databases", unprotected)), "unprotected"];
    }
    // One of which the connection fails is named already: what it has is found when it can be asked.
    const asked = empty.filter((name) => !unreachable.includes(name));
    if (asked.length) {
        const one = (name) => _t("%s has no known database, so nothing of it is backed up", name);
        const more = (count) =>
            _t("%s servers have no known database, so nothing of them is backed up", count);
        yield [sayServers(asked, one, more), "unprotected"];
    }
}

/**
 * Say in one sentence how all servers and databases stand.
 *
 * @param {Object} totals of the server
 * @returns {{text: string, state: string}} the state gives the sentence its icon and colour
 */
export function sayTotals(totals) {
    const { pending } = totals;
    const covered = totals.protected + totals.late + pending;
    const faults = [...sayFaults(totals)];
    if (faults.length) {
        const said = faults.map(([text]) => text).join(", ");
        return { text: `${said[0].toUpperCase()}${said.slice(1)}.`, state: faults[0][1] };
    }
    if (pending) {
        const text = many(
            pending,
            _t("1 database waits for a backup that is not due yet; nothing is late."),
            _t("%s databases wait for a backup that is not due yet; nothing is late.", pending)
        );
        return { text, state: "pending" };
    }
    const text = many(
        covered,
        _t("The database has a good backup as new as promised."),
        _t("All %s databases have a good backup as new as promised.", covered)
    );
    return { text, state: "protected" };
}
