/**
 * The version of the package; a test holds it equal to the manifests'.
 *
 * @module
 */

/** The version of the package. */
export const VERSION = "0.1.0";
