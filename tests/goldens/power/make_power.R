# Golden powers, sizes and effects from R's package pwr and from stats::power.t.test.
# Run in this folder: Rscript make_power.R
library(pwr)
options(digits = 15)
rows <- list()
add <- function(what, d, n, m, alpha, sides, power, n_for, d_for)
  rows[[length(rows) + 1]] <<- data.frame(what, d, n, m, alpha, sides, power, n_for, d_for)
# pwr solves to four digits only; its own powers are solved here to twelve.
root <- function(f, low, high) uniroot(f, c(low, high), tol = 1e-13, maxiter = 10000)$root
target <- 0.8
size <- function(f) if (f(2) >= target) 2 else root(function(n) f(n) - target, 2, 1e7)
effect <- function(f) root(function(d) f(d) - target, 1e-9, 20)
side <- function(sides) if (sides == 2) "two.sided" else "greater"
for (sides in 1:2) for (alpha in c(0.01, 0.05, 0.1)) for (d in c(0.1, 0.2, 0.5, 1, 2)) {
  for (n in c(5, 12, 60, 400)) {
    one <- pwr.t.test(n, d, alpha, type = "one.sample", alternative = side(sides))$power
    needs <- size(function(x) pwr.t.test(x, d, alpha, NULL, "one.sample", side(sides))$power)
    finds <- effect(function(x) pwr.t.test(n, x, alpha, NULL, "one.sample", side(sides))$power)
    add("one_sample", d, n, n, alpha, sides, one, needs, finds)
    two <- pwr.t2n.test(n, 3 * n, d, alpha, alternative = side(sides))$power
    needs <- size(function(x) pwr.t.test(x, d, alpha, NULL, "two.sample", side(sides))$power)
    finds <- effect(function(x) pwr.t2n.test(n, 3 * n, x, alpha, NULL, side(sides))$power)
    add("two_sample", d, n, 3 * n, alpha, sides, two, needs, finds)
  }
}
for (sides in 1:2) for (p in c(0.05, 0.3, 0.6)) for (q in c(0.1, 0.35, 0.9)) for (n in c(20, 200)) {
  found <- pwr.2p2n.test(ES.h(p, q), n, 2 * n, 0.05, alternative = side(sides))$power
  add("proportions", p, n, 2 * n, 0.05, sides, found, q, NA)
}
# Joint tests: d is the effect, m the groups, terms or degrees of freedom, n units or residuals.
for (alpha in c(0.01, 0.05)) for (d in c(0.1, 0.28, 0.5)) for (m in c(2, 4, 7)) for (n in c(8, 60)) {
  add("anova", d, n, m, alpha, 1, pwr.anova.test(m, n, d, alpha)$power, NA, NA)
  add("regression", d, n, m, alpha, 1, pwr.f2.test(m, n, d, alpha)$power, NA, NA)
  add("chi_square", d, n, m, alpha, 1, pwr.chisq.test(d, n, m, alpha)$power, NA, NA)
}
# The noncentral t, far out and with few degrees of freedom, against R's own pt.
for (df in c(1, 2.5, 7.3, 40, 1e4)) for (shift in c(0, 0.5, 3, 8, 30)) {
  limit <- qt(0.975, df)
  add("noncentral", shift, df, NA, 0.05, 2,
      pt(limit, df, shift, lower.tail = FALSE) + pt(-limit, df, shift), NA, NA)
}
# Both tails of a t-test count: strict = TRUE.
add("strict", 0.3, 15, 15, 0.05, 2,
    power.t.test(15, 0.3, sd = 1, strict = TRUE)$power, NA, NA)
write.csv(do.call(rbind, rows), "powers.csv", row.names = FALSE)
