# Golden values of joint tests of factorial effects: `Rscript make_joint_tests.R` here.
# R 4.2 with clubSandwich; reads the data_factorial_*.csv that make_several_arms.R wrote.
# - "cells": stats::oneway.test, Welch's test that all cells have one mean.
# - Welch and James's F of a factor or an interaction, from the formulas of Johansen (1980) written
#   out with matrices; it is oneway.test where the hypothesis is that of all cells.
# - "clustered": units in all cells, in clusters: clubSandwich's HTZ on the units' combinations.
suppressPackageStartupMessages(library(clubSandwich))
options(digits = 17)
rows <- list()
say <- function(data, term, df_num, df_den, statistic, p_value) rows[[length(rows) + 1]] <<-
  data.frame(data, term, df_num, df_den, statistic, p_value)
effects <- function(nb) {                                 # rows: arms a0b0 a0b1 .. a1b0 ..
  a <- rep(0:1, each = nb); b <- rep(seq_len(nb) - 1, 2); L <- list()
  L[["a"]] <- rbind(ifelse(a == 1, 1, -1) / nb)
  L[["b"]] <- t(sapply(seq_len(nb - 1), function(k) ifelse(b == k, 1, ifelse(b == 0, -1, 0)) / 2))
  L[["a x b"]] <- t(sapply(seq_len(nb - 1), function(k)
    ifelse(a == 1, 1, -1) * ifelse(b == k, 1, ifelse(b == 0, -1, 0))))
  L
}
johansen <- function(C, m, v, n) {
  S <- diag(v); inner <- solve(C %*% S %*% t(C)); q <- nrow(C)
  Q <- drop(t(C %*% m) %*% inner %*% (C %*% m)); P <- S %*% t(C) %*% inner %*% C
  A <- sum(sapply(seq_along(m), function(i) { E <- P[, i, drop = FALSE] %*% t((seq_along(m) == i) * 1)
    (sum(diag(E %*% E)) + sum(diag(E))^2) / (n[i] - 1) })) / 2
  c(q, q * (q + 2) / (3 * A), Q / (q + 2 * A - 6 * A / (q + 2)))
}
for (name in c("crossed", "wide23")) {
  d <- read.csv(paste0("data_factorial_", name, ".csv")); nb <- max(d$b) + 1
  cell <- factor(paste0(d$a, d$b)); n <- as.vector(table(cell))
  m <- tapply(d$y, cell, mean); v <- tapply(d$y, cell, var) / n; L <- effects(nb)
  for (term in names(L)) { f <- johansen(L[[term]], m, v, n)
    say(name, term, f[1], f[2], f[3], pf(f[3], f[1], f[2], lower.tail = FALSE)) }
  w <- oneway.test(d$y ~ cell)
  say(name, "cells", w$parameter[[1]], w$parameter[[2]], w$statistic[[1]], w$p.value)
}
d <- read.csv("data_factorial_within.csv"); wide <- matrix(d$y, ncol = 6, byrow = TRUE)
cluster <- d$cluster[d$a == 0 & d$b == 0]; L <- effects(3)
for (term in names(L)) {
  each <- wide %*% t(L[[term]]); q <- ncol(each)
  long <- data.frame(y = as.vector(each), part = factor(rep(seq_len(q), each = nrow(each))), cluster = rep(cluster, q))
  fit <- if (q > 1) lm(y ~ 0 + part, long) else lm(y ~ 1, long)
  s <- Wald_test(fit, constraints = diag(q), vcov = "CR2", cluster = long$cluster, test = "HTZ")
  say("clustered", term, s$df_num, s$df_denom, s$Fstat, s$p_val)
}
write.csv(do.call(rbind, rows), "joint_tests.csv", row.names = FALSE)
