import { useService } from "@web/core/utils/hooks";
import { useLiveRuns } from "./live_runs";

import { onMounted } from "@odoo/owl";

/** What of a run moves by itself. One that waits for its next attempt does not. */
function isMoving({ status, work, retry_at, verification_requested_at }) {
    const isQueued = status === "queued" && !retry_at;
    return isQueued || status === "running" || Boolean(work || verification_requested_at);
}

function recordsOf(root) {
    if (root.groups) {
        return root.groups.flatMap((group) => (group.isFolded ? [] : recordsOf(group.list)));
    }
    return root.records || [root];
}

/** A controller whose screen is busy while something is open over it, a dialog for one. */
const Covered = (Controller) =>
    class extends Controller {
        setup() {
            super.setup(...arguments);
            const ui = useService("ui");
            let own;
            onMounted(() => (own = ui.activeElement));
            this.isCovered = () => ui.activeElement !== own;
        }

        get showsMovingRuns() {
            return recordsOf(this.model.root).some((record) => isMoving(record.data));
        }
    };

/** A list or kanban of runs, or of their restores, that follows them: page, order, groups and place stay as they are. */
export const LiveRunsMixin = (Controller) =>
    class extends Covered(Controller) {
        setup() {
            super.setup(...arguments);
            useLiveRuns({
                reload: () => this.reloadInPlace(),
                isBusy: () => this.isBusy,
                isActive: () => this.model.isReady && this.showsMovingRuns,
            });
        }

        get isBusy() {
            const { root, isReady } = this.model;
            return !isReady || this.isCovered() || root.selection?.length || root.editedRecord;
        }

        /** Read again what is shown, and leave the keyboard where it was. */
        async reloadInPlace() {
            const cell = document.activeElement?.closest(".o_data_row > td");
            const place = cell && [cell.parentElement.rowIndex, cell.cellIndex];
            await this.model.root.load();
            if (place) {
                await new Promise((resolve) => requestAnimationFrame(resolve));
                const [row, column] = place;
                this.rootRef.el?.querySelector("table")?.rows[row]?.cells[column]?.focus();
            }
        }
    };

/** The form of a run, which follows it. */
export const LiveRunMixin = (Controller) =>
    class extends Covered(Controller) {
        setup() {
            super.setup(...arguments);
            useLiveRuns({
                reload: () => this.model.root.load(),
                concerns: (ids) => ids.includes(this.model.root.resId),
                isBusy: () => this.isCovered() || this.model.root.dirty,
                isActive: () => this.showsMovingRuns,
            });
        }
    };

/** The form of a restore, which follows the run that is restored. */
export const LiveRestoreMixin = (Controller) =>
    class extends Covered(Controller) {
        setup() {
            super.setup(...arguments);
            useLiveRuns({
                reload: () => this.model.root.load(),
                concerns: (ids) => ids.includes(this.model.root.data.run_id.id),
                isBusy: () => this.isCovered(),
                isActive: () => this.showsMovingRuns,
            });
        }
    };

/** A form with runs in it, such as an instance's; nobody who is entering something is disturbed. */
export const LiveRelatedRunsMixin = (Controller) =>
    class extends Covered(Controller) {
        setup() {
            super.setup(...arguments);
            useLiveRuns({
                reload: () => this.model.root.load(),
                isBusy: () => this.isCovered() || this.isBeingEdited,
            });
        }

        get isBeingEdited() {
            const { root } = this.model;
            const focused = "input:focus, textarea:focus, select:focus, [contenteditable=true]:focus";
            return root.isNew || root.dirty || this.rootRef.el?.querySelector(focused);
        }
    };
