import { Component } from "@odoo/owl";

/** What is shown before there is any instance: what this is, in three steps, and the first. */
export class Welcome extends Component {
    static template = "backup_scheduler.Welcome";
    static props = { canSetUp: Boolean, onSetUp: Function };
}
