/** Stand-in for `@std/datetime/constants`, for machines that reach no JSR registry. */
export const SECOND = 1e3;
export const MINUTE: number = SECOND * 60;
export const HOUR: number = MINUTE * 60;
export const DAY: number = HOUR * 24;
export const WEEK: number = DAY * 7;
