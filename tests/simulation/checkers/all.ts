/**
 * All checkers. I14 (no promise depends on clocks that agree) has none of its own: clocks are skewed and jump in most
 * runs, and everything else must hold. I13 and I17 (records that cannot be read) are kept by the world, which plants them.
 *
 * @module
 */

import type { MakeChecker } from "../witness.ts";
import { effects } from "./effects.ts";
import { rescue } from "./i10_rescue.ts";
import { blame } from "./i11_blame.ts";
import { cancel } from "./i12_cancel.ts";
import { progress } from "./i15_progress.ts";
import { terminal } from "./i1_terminal.ts";
import { attempts } from "./i2_attempts.ts";
import { fence } from "./i3_fence.ts";
import { index } from "./i4_index.ts";
import { order } from "./i5_order.ts";
import { points } from "./i6_points.ts";
import { concurrency } from "./i7_concurrency.ts";
import { results } from "./i8_results.ts";
import { answers } from "./i9_answers.ts";

/** Every checker, the most telling first: of a commit that breaks several promises, the first one is named. */
export const CHECKERS: readonly MakeChecker[] = [
  fence,
  attempts,
  rescue,
  cancel,
  blame,
  points,
  terminal,
  effects,
  index,
  order,
  concurrency,
  results,
  answers,
  progress,
];
