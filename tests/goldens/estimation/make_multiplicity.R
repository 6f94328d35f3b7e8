# Golden values of joint corrections: run `Rscript make_multiplicity.R` in this folder. R 4.2 with
# multcomp, clubSandwich, mvtnorm and (Bioconductor) multtest.
suppressPackageStartupMessages({library(multcomp); library(clubSandwich); library(mvtnorm); library(multtest)})
options(digits = 17)
set.seed(20260105)
write <- function(x, name) write.csv(x, paste0(name, ".csv"), row.names = FALSE)

# ---- data: three arms (c is the reference), two outcomes that share noise ----
n <- 60
plain <- data.frame(unit = 1:n, arm = rep(c("a", "b", "c"), each = 20), block = rep(1:4, 15), x = rnorm(n))
shared <- rexp(n)
effect <- c(a = .9, b = .4, c = 0)[plain$arm]
plain$y1 <- effect + .6 * plain$x + shared + rnorm(n) * c(a = 2, b = .7, c = 1)[plain$arm]
plain$y2 <- .8 * effect - .3 * plain$x + shared + .5 * plain$block + rnorm(n)
sizes <- c(3, 6, 4, 8, 5, 2, 7, 4, 5, 6, 3, 5, 4, 6, 7)
clustered <- data.frame(unit = seq_len(sum(sizes)), cluster = rep(1:15, sizes))
clustered$arm <- c("a", "b", "c")[(clustered$cluster - 1) %% 3 + 1]
noise <- rnorm(15)[clustered$cluster]
clustered$y1 <- 1.2 * (clustered$arm == "a") + noise + rnorm(nrow(clustered))
clustered$y2 <- .9 * (clustered$arm == "b") + noise + rexp(nrow(clustered))
m <- 25
base <- rnorm(m)
within <- data.frame(unit = rep(1:m, 3), arm = rep(c("a", "b", "c"), each = m))
within$y1 <- rep(base, 3) + .4 * (within$arm == "a") + rnorm(3 * m) * rep(c(1, .4, .6), each = m)
within$y2 <- rep(base, 3) + .3 * (within$arm == "b") + .5 * within$y1 + rnorm(3 * m)
write(plain, "data_joint_plain"); write(clustered, "data_joint_clustered"); write(within, "data_joint_within")

# ---- all contrasts of both outcomes at once ----
contrasts <- c("a", "b")
outcomes <- c("y1", "y2")
cases <- expand.grid(treatment = contrasts, outcome = outcomes, stringsAsFactors = FALSE)
# Mean of randomised quasi-Monte-Carlo integrals from the same seeds: smooth enough to be inverted.
inside <- function(c, R, df) mean(sapply(1:2, function(seed) { set.seed(seed)
  suppressWarnings(pmvt(rep(-c, nrow(R)), rep(c, nrow(R)), df = df, corr = R,
                        algorithm = GenzBretz(maxpts = 25000, abseps = 1e-9, releps = 0)))[1] }))
rows <- list(); correlations <- list()
keep <- function(case, b, V, df, p = NULL) {
  se <- sqrt(diag(V)); R <- cov2cor(V); k <- length(b); df <- rep(df, length.out = k)
  if (is.null(p)) p <- sapply(1:k, function(i) 1 - inside(abs(b / se)[i], R, round(df[i])))
  limits <- t(sapply(1:k, function(i) {
    q <- uniroot(function(c) inside(c, R, round(df[i])) - .95, c(1.9, 12), tol = 1e-6)$root
    c(b[i] - q * se[i], b[i] + q * se[i]) }))
  rows[[length(rows) + 1]] <<- data.frame(case, cases, estimate = b, std_error = se, df, p_adjusted = p,
                                          conf_low = limits[, 1], conf_high = limits[, 2])
  correlations[[length(correlations) + 1]] <<- data.frame(case, row = rep(1:k, k), column = rep(1:k, each = k), value = as.vector(R))
}
by_glht <- function(case, b, V, df) {      # one df for all rows: multcomp itself
  fit <- glht(parm(b, V, df = df), linfct = diag(length(b)))
  set.seed(2)
  p <- summary(fit, test = adjusted("single-step", maxpts = 25000, abseps = 1e-4, releps = 0))$test$pvalues
  keep(case, b, V, df, as.vector(p))
}
stacked <- function(data) {                # both outcomes in one table; CR2 by unit is then HC2
  long <- do.call(rbind, lapply(outcomes, function(o) cbind(data, y = data[[o]], outcome = o)))
  long$cell <- factor(paste(long$outcome, long$arm)); long
}
K <- function(cells) t(apply(cases, 1, function(row) (cells == paste("cell", row[["outcome"]], " ", row[["treatment"]], sep = "")) -
                                                     (cells == paste("cell", row[["outcome"]], " c", sep = ""))))

long <- stacked(plain)
fit <- lm(y ~ 0 + cell, long)
V <- as.matrix(vcovCR(fit, cluster = long$unit, type = "CR2")); L <- K(names(coef(fit)))
by_glht("difference_in_means", as.vector(L %*% coef(fit)), L %*% V %*% t(L), 38)

scores <- function(fit) {  # HC2 contributions to the coefficient of z
  X <- model.matrix(fit); e <- residuals(fit) / sqrt(1 - hatvalues(fit))
  (X %*% solve(crossprod(X)))[, "z"] * e
}
per_contrast <- function(case, data, formula, clusters = NULL) {
  psi <- matrix(0, nrow(data), 4); b <- df <- numeric(4)
  for (i in 1:4) {
    at <- which(data$arm %in% c(cases$treatment[i], "c"))
    part <- data[at, ]; part$y <- part[[cases$outcome[i]]]; part$z <- as.numeric(part$arm != "c"); part$xc <- part$x - mean(part$x)
    fit <- lm(formula, part); b[i] <- coef(fit)[["z"]]; psi[at, i] <- scores(fit); df[i] <- fit$df.residual
  }
  by_glht(case, b, crossprod(psi), df[1])
}
per_contrast("ancova", plain, y ~ x + z)
per_contrast("lin", plain, y ~ xc + xc:z + z)
per_contrast("fixed_effects", plain, y ~ factor(block) + z)

long <- stacked(clustered)
fit <- lm(y ~ 0 + cell, long)
V <- as.matrix(vcovCR(fit, cluster = long$cluster, type = "CR2")); L <- K(names(coef(fit)))
df <- apply(cases, 1, function(row) {
  part <- clustered[clustered$arm %in% c(row[["treatment"]], "c"), ]; part$y <- part[[row[["outcome"]]]]
  coef_test(lm(y ~ arm, transform(part, arm = factor(arm == row[["treatment"]]))), "CR2", cluster = part$cluster)$df_Satt[2] })
keep("cluster", as.vector(L %*% coef(fit)), L %*% V %*% t(L), df)

D <- sapply(1:4, function(i) within[[cases$outcome[i]]][within$arm == cases$treatment[i]] -
                             within[[cases$outcome[i]]][within$arm == "c"])
by_glht("paired", colMeans(D), cov(D) / m, m - 1)
write(do.call(rbind, rows), "single_step"); write(do.call(rbind, correlations), "single_step_correlations")

# ---- step-down max-T over all assignments of two arms; two-stage BH ----
small <- data.frame(arm = rep(0:1, c(6, 5)), matrix(round(rnorm(44) + rep(rep(0:1, c(6, 5)), 4) * rep(c(2, 1, 0, 0), each = 11), 3), 11))
write(cbind(unit = 1:11, small), "data_maxt")
found <- mt.maxT(t(as.matrix(small[, -1])), small$arm, test = "t", side = "abs", B = 0)  # all 462
write(data.frame(outcome = paste0("X", found$index), statistic = found$teststat, p_value = found$rawp, p_adjusted = found$adjp), "maxt")
