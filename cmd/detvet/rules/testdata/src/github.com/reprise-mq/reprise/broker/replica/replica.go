// Package replica stands in the plan.
package replica
