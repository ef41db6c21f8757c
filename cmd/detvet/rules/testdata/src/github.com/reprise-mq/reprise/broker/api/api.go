// Package api stands in the plan.
package api
