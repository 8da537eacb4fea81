import { formatSize } from "@backup_scheduler/fields/backup_size/backup_size_field";

import { Component, useState } from "@odoo/owl";

import { useLinks } from "../overview_links";

const FEW = 3;
const FEW_ON_A_PHONE = 1;

/** Where the archives are: each destination with its bytes and copies, the fullest first. */
export class Destinations extends Component {
    static template = "backup_scheduler.Destinations";
    static props = { destinations: Array, totals: Object };

    setup() {
        this.links = useLinks();
        this.state = useState({ all: false });
    }

    get few() {
        return this.env.isSmall ? FEW_ON_A_PHONE : FEW;
    }

    get shown() {
        const most = Math.max(1, ...this.props.destinations.map((one) => one.bytes));
        const failing = (one) => (one.check_status === "error" ? 0 : 1);
        const sorted = [...this.props.destinations].sort(
            (a, b) => failing(a) - failing(b) || b.bytes - a.bytes
        );
        return (this.state.all ? sorted : sorted.slice(0, this.few)).map((one) => ({
            ...one,
            size: formatSize(one.bytes) || "0",
            percent: (one.bytes / most) * 100,
            failing: one.check_status === "error",
        }));
    }

    get hidden() {
        return this.state.all ? 0 : Math.max(0, this.props.destinations.length - this.few);
    }

    get total() {
        return formatSize(this.props.totals.bytes);
    }

    openCopies(destination) {
        this.links.openList("backup_scheduler.backup_copy_action", [
            ["destination_id", "=", destination.id],
            ["status", "=", "stored"],
        ]);
    }
}
