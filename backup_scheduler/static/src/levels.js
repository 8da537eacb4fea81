/** The levels of verification by number, as `engine/archive/levels.py` has them (a test compares). */
export const COMPLETE = 1;
export const INTACT = 2;
export const CONSISTENT = 3;
export const RESTORED = 4;
