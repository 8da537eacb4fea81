import { registry } from "@web/core/registry";
import { _t } from "@web/core/l10n/translation";
import { toLocaleDateTimeString } from "@web/core/l10n/dates";
import { standardFieldProps } from "@web/views/fields/standard_field_props";
import { formatDuration } from "../backup_duration/backup_duration_field";
import { stageName } from "../backup_progress/stages";

import { Component } from "@odoo/owl";

// Storing and publishing alternate: to people they are one.
const STAGES = ["connect", "download", "verify", "store"];
const GOOD = ["success", "verified"];
const STORED = [...GOOD, "verify_failed"];

const STATES = {
    done: { icon: "fa-check", text: _t("done") },
    current: { icon: "fa-circle-o-notch fa-spin", text: _t("in progress") },
    waiting: { icon: "fa-clock-o", text: _t("waiting") },
    failed: { icon: "fa-times", text: _t("failed here") },
    stopped: { icon: "fa-ban", text: _t("ended here") },
    warned: { icon: "fa-exclamation", text: _t("not good") },
    ahead: { icon: "", text: _t("not reached") },
};
// How far a run came. Of one that came less far, the badge and the step where it ended tell it.
const LAST_STEPS = {
    success: _t("Stored"),
    verified: _t("Verified"),
    verify_failed: _t("Not Good"),
};

const stepOf = (stage) => (stage === "publish" ? "store" : stage);

/**
 * Return the seconds that each step of the last attempt took.
 *
 * @param {[string, number][]|false} pairs `backup.run.stage_seconds`
 * @returns {Map<string, number>} in the order in which they were gone through
 */
export function secondsOfSteps(pairs) {
    const seconds = new Map();
    for (const [stage, took] of pairs || []) {
        const step = stepOf(stage);
        const before = seconds.get(step) || 0;
        seconds.delete(step);
        seconds.set(step, before + took);
    }
    return seconds;
}

/**
 * Return the state of each step of a run, from queued to its end.
 *
 * @param {{ status: string, stage: string|false, stage_seconds: [string, number][]|false }} run
 * @returns {{ name: string, state: string, seconds: number|undefined }[]}
 */
export function stepsOf(run) {
    const seconds = secondsOfSteps(run.stage_seconds);
    const reached = [...seconds.keys()];
    const isRunning = run.status === "running";
    const at = isRunning ? stepOf(run.stage) || "connect" : reached.at(-1);
    const states = STAGES.map((name) => {
        const state = stateOfStage(run, name, at);
        const isOver = !["ahead", "current"].includes(state);
        return { name, state, seconds: isOver ? seconds.get(name) : undefined };
    });
    return [
        { name: "queued", state: stateOfQueue(run, at) },
        ...states,
        { name: "end", state: stateOfEnd(run) },
    ];
}

function stateOfStage({ status }, name, at) {
    if (status === "verify_failed" && name === "verify") {
        return "warned";
    }
    if (STORED.includes(status)) {
        return "done";
    }
    const [here, position] = [STAGES.indexOf(at), STAGES.indexOf(name)];
    if (status === "queued" || here < position) {
        return "ahead";
    }
    if (position < here) {
        return "done";
    }
    return { running: "current", failed: "failed" }[status] || "stopped";
}

function stateOfQueue({ status }, at) {
    if (status === "queued") {
        return "waiting";
    }
    if (at || STORED.includes(status)) {
        return "done";
    }
    return status === "failed" ? "failed" : "stopped";
}

function stateOfEnd({ status }) {
    if (GOOD.includes(status)) {
        return "done";
    }
    return status === "verify_failed" ? "warned" : "ahead";
}

/** The stages of a run: where it is, where it ended, and how long each of them took. */
export class BackupStagesField extends Component {
    static template = "backup_scheduler.BackupStagesField";
    static props = { ...standardFieldProps };

    get run() {
        return this.props.record.data;
    }

    get steps() {
        return stepsOf(this.run).map((step) => ({
            ...step,
            ...STATES[step.state],
            label: this.labelOf(step.name),
            note: this.noteOf(step),
        }));
    }

    labelOf(name) {
        if (name === "queued") {
            return _t("Queued");
        }
        return name === "end" ? LAST_STEPS[this.run.status] || _t("Done") : stageName(name);
    }

    noteOf({ name, seconds }) {
        if (name === "queued") {
            return this.queueNote;
        }
        return seconds === undefined ? "" : formatDuration(Math.max(seconds, 1));
    }

    /** Why it waits, or which attempt this is. */
    get queueNote() {
        const { status, retry_at, attempt, max_attempts } = this.run;
        if (status === "queued" && retry_at) {
            return _t("next attempt %s", toLocaleDateTimeString(retry_at));
        }
        return attempt > 1 ? _t("attempt %(number)s of %(limit)s", {
            number: attempt,
            limit: Math.max(attempt, max_attempts),
        }) : "";
    }
}

export const backupStagesField = {
    component: BackupStagesField,
    displayName: _t("Stages of a run"),
    supportedTypes: ["selection"],
    fieldDependencies: [
        { name: "stage", type: "selection" },
        { name: "stage_seconds", type: "json" },
        { name: "attempt", type: "integer" },
        { name: "max_attempts", type: "integer" },
        { name: "retry_at", type: "datetime" },
    ],
};

registry.category("fields").add("backup_stages", backupStagesField);
