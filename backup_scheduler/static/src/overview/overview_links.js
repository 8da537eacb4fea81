import { useService } from "@web/core/utils/hooks";

/**
 * @returns {Object} ``openForm(model, id)`` and ``openList(xmlid, domain)``: the records behind
 *  what the overview says; ``openWizard(action, whenClosed)``: what can be done about it
 */
export function useLinks() {
    const action = useService("action");
    return {
        openForm(model, id) {
            return action.doAction({
                type: "ir.actions.act_window",
                res_model: model,
                res_id: id,
                views: [[false, "form"]],
            });
        },
        async openList(xmlid, domain = []) {
            const found = await action.loadAction(xmlid);
            return action.doAction({ ...found, domain, context: {} });
        },
        openWizard(wizard, whenClosed) {
            // The dialog waits for what onClose returns, and what a page asks that the wizard has
            // left behind is never answered: it would stay open over what the wizard shows.
            return action.doAction(wizard, { onClose: () => void whenClosed() });
        },
    };
}
