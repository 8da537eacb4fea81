import { formatSize } from "@backup_scheduler/fields/backup_size/backup_size_field";
import { _t } from "@web/core/l10n/translation";

import { Component } from "@odoo/owl";

import { sayPercent } from "../overview_words";

const WIDTH = 56;
const HEIGHT = 20;
const MARGIN = 2;

/** The size of the last good archive, and how it came to be: a line, and the change in percent. */
export class SizeTrend extends Component {
    static template = "backup_scheduler.SizeTrend";
    static props = { size: Number, sizes: Array, onOpen: Function };
    static viewBox = `0 0 ${WIDTH} ${HEIGHT}`;

    get size() {
        return formatSize(this.props.size);
    }

    get hasTrend() {
        return this.props.sizes.length > 1 && this.props.sizes[0] > 0;
    }

    get change() {
        const [first] = this.props.sizes;
        return sayPercent(((this.props.sizes.at(-1) - first) / first) * 100);
    }

    get label() {
        return _t("From %(first)s to %(last)s over the last %(count)s archives", {
            first: formatSize(this.props.sizes[0]),
            last: formatSize(this.props.sizes.at(-1)),
            count: this.props.sizes.length,
        });
    }

    /** The points of the line. A change of less than a tenth stays as flat as it is. */
    get points() {
        const { sizes } = this.props;
        const most = Math.max(...sizes);
        const least = Math.min(...sizes);
        const span = Math.max(most - least, most * 0.1);
        const middle = (most + least) / 2;
        return sizes.map((size, number) => ({
            x: MARGIN + (number / (sizes.length - 1)) * (WIDTH - 2 * MARGIN),
            y: HEIGHT / 2 - ((size - middle) / span) * (HEIGHT - 2 * MARGIN),
        }));
    }

    get line() {
        return this.points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    }

    get last() {
        return this.points.at(-1);
    }
}
