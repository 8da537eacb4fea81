import { _t } from "@web/core/l10n/translation";
import { formatInteger } from "@web/views/fields/formatters";
import { formatSize } from "../backup_size/backup_size_field";
import { COMPLETE, CONSISTENT, INTACT, RESTORED } from "../../levels";

/** Say a count with its noun: nothing for none. */
const counted = (number, one, many) =>
    number ? String(number === 1 ? one : many).replace("%s", formatInteger(number)) : "";

const join = (parts) => parts.filter(Boolean).join(", ");

/**
 * Say in sentences what reading an archive found out, from its report (`engine/archive/report.py`).
 *
 * @param {Object} report
 * @param {{ level: number, error: string }|null} [finding] what was found wrong, and at which level
 * @returns {{ tone: "good"|"bad"|"note"|"open", text: string }[]} `open`: what was not looked at
 */
export function sentencesOf(report, finding = null) {
    const level = report.level || COMPLETE;
    return [
        bytesRead(report, level),
        filestoreFound(report, level),
        contentsCounted(report, level),
        restored(level, finding),
        ...oddities(report),
        ...(report.notes || []).map((text) => ({ tone: "note", text })),
        versions(report),
    ].filter(Boolean);
}

function bytesRead(report, level) {
    const size = formatSize(report.size);
    if (level < INTACT) {
        return {
            tone: "good",
            text: _t("The archive of %s is complete: not cut off, and what it should be.", size),
        };
    }
    if (report.archive_format === "dump") {
        return { tone: "good", text: _t("Every byte of %s read; the dump is whole, to its end.", size) };
    }
    return {
        tone: "good",
        text: _t("Every byte of %(size)s read; the checksums of all %(members)s files in it are right.", {
            size,
            members: formatInteger(report.members || 0),
        }),
    };
}

function filestoreFound(report, level) {
    const { missing_files: missing = 0, damaged_files: damaged = 0 } = report;
    const attachments = counted(
        report.attachments,
        _t("1 attachment listed"),
        _t("%s attachments listed")
    );
    const files = counted(
        report.filestore_files,
        _t("1 file in the filestore"),
        _t("%s files in the filestore")
    );
    if (missing || damaged) {
        const found = join([attachments, files]);
        const wrong = join([
            counted(missing, _t("1 is missing"), _t("%s are missing")),
            counted(damaged, _t("1 is damaged"), _t("%s are damaged")),
        ]);
        return { tone: "bad", text: found ? `${found}: ${wrong}.` : `${wrong}.` };
    }
    if (level >= CONSISTENT && report.known_gaps) {
        return {
            tone: "good",
            text: _t(
                "%s: none is missing and none was changed, but for the known gaps.",
                join([attachments, files])
            ),
        };
    }
    if (level >= CONSISTENT && report.filestore_files) {
        return {
            tone: "good",
            text: _t("%s: none is missing, none was changed.", join([attachments, files])),
        };
    }
    return files && { tone: "good", text: `${files}.` };
}

function contentsCounted(report, level) {
    const counts = join([
        counted(report.users, _t("1 user"), _t("%s users")),
        counted(report.modules, _t("1 module"), _t("%s modules")),
        counted(report.tables, _t("1 table"), _t("%s tables")),
        counted(report.large_objects, _t("1 large object"), _t("%s large objects")),
    ]);
    if (counts) {
        return { tone: "good", text: _t("The database in it has %s.", counts) };
    }
    return level < CONSISTENT && {
        tone: "open",
        text: _t("What is in the database was not counted: that takes level %s.", CONSISTENT),
    };
}

function restored(level, finding) {
    if (finding?.level >= RESTORED) {
        return { tone: "bad", text: _t("Restoring it as a test failed: %s", finding.error) };
    }
    if (level >= RESTORED) {
        return {
            tone: "good",
            text: _t("Restored into a scratch database without an error, and counted there."),
        };
    }
    return {
        tone: "open",
        text: _t("It was not yet restored as a test: that takes level %s.", RESTORED),
    };
}

function oddities({ surplus_files: surplus, late_files: late }) {
    const texts = [
        counted(
            surplus,
            _t("1 file of the filestore belongs to no attachment, which harms nothing."),
            _t("%s files of the filestore belong to no attachment, which harms nothing.")
        ),
        counted(
            late,
            _t("1 file came or went while the backup was made."),
            _t("%s files came or went while the backup was made.")
        ),
    ];
    return texts.filter(Boolean).map((text) => ({ tone: "note", text }));
}

function versions({ odoo_version: odoo, pg_version: postgres }) {
    const text = join([
        odoo && _t("Odoo %s", odoo),
        postgres && _t("PostgreSQL %s", postgres),
    ]);
    return text && { tone: "note", text: _t("It comes from %s.", text) };
}
