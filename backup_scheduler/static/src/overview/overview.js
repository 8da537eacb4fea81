import { registry } from "@web/core/registry";
import { _t } from "@web/core/l10n/translation";
import { useService } from "@web/core/utils/hooks";
import { Layout } from "@web/search/layout";
import { standardActionServiceProps } from "@web/webclient/actions/action_service";

import { Component, useState } from "@odoo/owl";

import { HealthBanner } from "../health_banner/health_banner";
import { Destinations } from "./destinations/destinations";
import { InstanceGroup } from "./instance_group/instance_group";
import { useLinks } from "./overview_links";
import { useOverviewLoader } from "./overview_loader";
import { arrange } from "./overview_rules";
import { STATES, sayTotals } from "./overview_words";
import { Totals } from "./totals/totals";
import { Welcome } from "./welcome/welcome";

// Rows of instances and databases that are drawn at first, and by each “Show more”.
export const ROWS = 60;

/** The first screen of the app: what is safe, and what is not. */
export class BackupOverview extends Component {
    static template = "backup_scheduler.Overview";
    static components = { Destinations, HealthBanner, InstanceGroup, Layout, Totals, Welcome };
    static props = { ...standardActionServiceProps };
    static displayName = _t("Overview");

    setup() {
        this.orm = useService("orm");
        this.links = useLinks();
        this.loader = useOverviewLoader();
        this.view = useState({
            search: "",
            state: "",
            opened: new Map(),
            unfolded: new Set(),
            limit: ROWS,
        });
        this.display = { controlPanel: {} };
    }

    get page() {
        return this.loader.page;
    }

    get isEmpty() {
        return !this.page.instances.length;
    }

    get sentence() {
        const { text, state } = sayTotals(this.page.totals);
        return { text, ...STATES[state] };
    }

    get stateWord() {
        return STATES[this.view.state].word;
    }

    get shown() {
        return arrange(this.page.instances, this.view);
    }

    get isNarrowed() {
        return Boolean(this.view.search.trim() || this.view.state);
    }

    filterState(state) {
        this.view.state = state;
        this.view.limit = ROWS;
    }

    onSearch(ev) {
        this.view.search = ev.target.value;
        this.view.limit = ROWS;
    }

    clear() {
        this.view.search = "";
        this.filterState("");
    }

    toggle(id, open) {
        this.view.opened.set(id, open);
    }

    unfold(id) {
        this.view.unfolded.add(id);
    }

    showMore() {
        this.view.limit += ROWS;
    }

    reload() {
        return this.loader.load();
    }

    async setUp() {
        const wizard = await this.orm.call("backup.overview", "action_set_up", [false, []]);
        this.links.openWizard(wizard, () => this.reload());
    }
}

registry.category("actions").add("backup_scheduler.overview", BackupOverview);
