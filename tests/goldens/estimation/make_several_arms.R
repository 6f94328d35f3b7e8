# Golden values of factorial effects and dose-response: run `Rscript make_several_arms.R` in this
# folder. R 4.2 with estimatr, emmeans, car, sandwich, clubSandwich, coin and DoseFinding.
suppressPackageStartupMessages({
  library(estimatr); library(emmeans); library(car); library(sandwich); library(clubSandwich)
  library(coin); library(DoseFinding)
})
options(digits = 17, contrasts = c("contr.sum", "contr.poly"))
set.seed(20260714)
arms <- function(d) factor(paste0(d$a, d$b), levels = unique(paste0(d$a, d$b)[order(d$a, d$b)]))

# ---- data: a and b are levels from 0, cells are called ab ----
cells <- function(sizes, na, nb) {
  g <- expand.grid(b = 0:(nb - 1), a = 0:(na - 1))
  g[rep(seq_len(nrow(g)), times = sizes), c("a", "b")]
}
crossed <- cells(c(9, 14, 11, 20), 2, 2)
crossed$x <- rnorm(54)
crossed$y <- with(crossed, .4 * a + .7 * b + .9 * a * b + .8 * x + rnorm(54) * (1 + a + b))
wide23 <- cells(c(12, 7, 15, 10, 9, 18), 2, 3)
wide23$x <- rexp(71)
wide23$y <- with(wide23, .5 * a - .3 * b + .6 * a * (b == 2) + .5 * x + rnorm(71) * (1 + .7 * b))
blocked <- do.call(rbind, lapply(1:5, function(k) cbind(cells(list(c(3, 4, 2, 5), c(4, 3, 6, 3), c(2, 2, 3, 4),
  c(5, 4, 4, 2), c(3, 3, 3, 3))[[k]], 2, 2), block = k)))
blocked$x <- rnorm(nrow(blocked))
blocked$y <- with(blocked, block + a * block / 2 + b + a * b + .6 * x + rnorm(nrow(blocked)) * (1 + b))
quads <- do.call(rbind, lapply(1:14, function(k) cbind(cells(c(1, 1, 1, 1), 2, 2), block = k)))
quads$x <- rnorm(56); quads$y <- with(quads, block / 4 + .5 * a - b + .8 * a * b + .5 * x + rnorm(56) * (1 + a))
clustered <- do.call(rbind, lapply(1:28, function(k) {
  cell <- (k - 1) %% 4; n <- c(2, 5, 3, 7, 4)[(k - 1) %% 5 + 1]
  data.frame(a = cell %/% 2, b = cell %% 2, cluster = k, block = (k - 1) %/% 14, even = (k - 1) %/% 4 %% 2, x = rnorm(n), e = rnorm(1) + rnorm(n))
}))
clustered$y <- with(clustered, .6 * a + .3 * b - .8 * a * b + .5 * x + e); clustered$e <- NULL
base <- rnorm(25)
within <- expand.grid(b = 0:2, a = 0:1, unit = 1:25)
within$y <- with(within, base[unit] + .4 * a * (1 + .3 * base[unit]) + .2 * b + .3 * a * (b == 2) + rnorm(150) * .6)
within$cluster <- (within$unit - 1) %/% 3
for (name in c("crossed", "wide23", "blocked", "quads", "clustered", "within"))
  write.csv(get(name), paste0("data_factorial_", name, ".csv"), row.names = FALSE)

# ---- linear combinations ----
product <- function(na, nb, i, j) {        # i, j: level against 0, or NA for the mean over levels
  side <- function(n, l) if (is.na(l)) rep(1 / n, n) else (seq_len(n) - 1 == l) - (seq_len(n) == 1)
  as.vector(kronecker(side(na, i), side(nb, j)))
}
effects <- function(na, nb) {
  out <- list(); for (i in 1:(na - 1)) out[[paste0("a=", i)]] <- product(na, nb, i, NA)
  for (j in 1:(nb - 1)) out[[paste0("b=", j)]] <- product(na, nb, NA, j)
  for (i in 1:(na - 1)) for (j in 1:(nb - 1)) out[[paste0("a=", i, " x b=", j)]] <- product(na, nb, i, j)
  out
}
rows <- list()
keep <- function(data, estimator, covariates, treatment, b, se, df)
  rows[[length(rows) + 1]] <<- data.frame(data, estimator, covariates, treatment, estimate = b, std_error = se,
    df = df, p_value = 2 * pt(-abs(b / se), df), conf_low = b - qt(.975, df) * se, conf_high = b + qt(.975, df) * se)
by_fit <- function(data, estimator, covariates, fit, nb, df = fit$df.residual, na = 2) {
  L <- effects(na, nb); k <- na * nb; b <- coef(fit)[1:k]; V <- vcov(fit)[1:k, 1:k]
  for (name in names(L)) keep(data, estimator, covariates, name, sum(L[[name]] * b),
                              sqrt(drop(t(L[[name]]) %*% V %*% L[[name]])), df)
}
welch <- function(data, d, nb) {
  m <- tapply(d$y, arms(d), mean); v <- tapply(d$y, arms(d), var) / table(arms(d)); n <- table(arms(d))
  L <- effects(2, nb)
  for (name in names(L)) { w <- L[[name]]^2 * v; used <- L[[name]] != 0
    keep(data, "welch", "", name, sum(L[[name]] * m), sqrt(sum(w)), sum(w)^2 / sum((w^2 / (n - 1))[used])) }
}
welch("crossed", crossed, 2); welch("wide23", wide23, 3)
for (name in c("crossed", "wide23")) { d <- get(name); d$cell <- arms(d); nb <- if (name == "crossed") 2 else 3
  by_fit(name, "difference_in_means", "", lm_robust(y ~ 0 + cell, d, se_type = "HC2"), nb)
  by_fit(name, "ancova", "x", lm_robust(y ~ 0 + cell + I(x - mean(x)), d, se_type = "HC2"), nb)
  by_fit(name, "lin", "x", lm_robust(y ~ 0 + cell + cell:I(x - mean(x)), d, se_type = "HC2"), nb) }
# The same by emmeans, so that the weights above are not only ours.
fit <- lm(y ~ factor(a) * factor(b), wide23)
emm <- emmeans(fit, ~ a * b, vcov. = vcovHC(fit, "HC2"))
from_emm <- function(treatments, contrast) { s <- as.data.frame(contrast)
  for (i in seq_along(treatments)) keep("wide23", "difference_in_means", "emmeans", treatments[i], s$estimate[i], s$SE[i], s$df[i]) }
from_emm("a=1", contrast(emmeans(emm, ~ a), "trt.vs.ctrl"))
from_emm(c("b=1", "b=2"), contrast(emmeans(emm, ~ b), "trt.vs.ctrl"))
from_emm(c("a=1 x b=1", "a=1 x b=2"), contrast(emm, interaction = c("trt.vs.ctrl", "trt.vs.ctrl")))
# Blocks: size-weighted means within blocks; inverse-probability weights with a covariate.
d <- blocked; d$cell <- arms(d); share <- table(d$block) / nrow(d)
fit <- lm_robust(y ~ 0 + cell:factor(block), d, se_type = "HC2")
M <- kronecker(t(as.vector(share)), diag(4)); b <- M %*% coef(fit); V <- M %*% vcov(fit) %*% t(M); L <- effects(2, 2)
for (name in names(L)) keep("blocked", "block", "", name, sum(L[[name]] * b), sqrt(drop(t(L[[name]]) %*% V %*% L[[name]])), fit$df.residual)
d$w <- 1 / as.vector(prop.table(table(d$block, d$cell), 1)[cbind(d$block, as.integer(d$cell))])
by_fit("blocked", "block", "x", lm_robust(y ~ 0 + cell + factor(block) + x, d, weights = w, se_type = "HC2"), 2)
by_fit("blocked", "fixed_effects", "", lm_robust(y ~ 0 + cell + factor(block), d, se_type = "HC2"), 2)
d <- quads; d$cell <- arms(d)
by_fit("quads", "block", "x", lm_robust(y ~ 0 + cell + factor(block) + x, d, se_type = "HC2"), 2)
wide <- matrix(quads$y, ncol = 4, byrow = TRUE)
by_t <- function(data, estimator, wide, L) for (name in names(L)) { f <- t.test(wide %*% L[[name]])
  keep(data, estimator, "", name, unname(f$estimate), f$stderr, unname(f$parameter)) }
by_t("quads", "block", wide, effects(2, 2))
wide <- matrix(within$y, ncol = 6, byrow = TRUE)
by_t("within", "paired", wide, effects(2, 3))
by_club <- function(data, covariates, fit, cluster, nb, L = effects(2, nb)) {
  p <- length(coef(fit)); C <- t(sapply(L, function(l) c(l, rep(0, p - length(l)))))
  s <- linear_contrast(fit, vcov = "CR2", cluster = cluster, contrasts = C, test = "Satterthwaite")
  for (i in seq_along(L)) keep(data, "cluster", covariates, names(L)[i], s$Est[i], s$SE[i], s$df[i])
}
d <- clustered; d$cell <- arms(d)
by_club("clustered", "", lm(y ~ 0 + cell, d), d$cluster, 2)
by_club("clustered", "x", lm(y ~ 0 + cell + x, d), d$cluster, 2)
by_club("clustered", "even", lm(y ~ 0 + cell + factor(even), d), d$cluster, 2)
d$centred <- d$block - mean(d$block)
by_club("clustered", "block", lm(y ~ 0 + cell + cell:centred, d), d$cluster, 2)
L <- effects(2, 3); cl <- within$cluster[within$a == 0 & within$b == 0]
for (name in names(L)) { e <- drop(wide %*% L[[name]]); s <- coef_test(lm(e ~ 1), vcov = "CR2", cluster = cl, test = "Satterthwaite")
  keep("within", "paired", "cluster", name, s$beta, s$SE, s$df_Satt) }
write.csv(do.call(rbind, rows), "factorial.csv", row.names = FALSE)

# ---- joint tests ----
joint <- list()
say <- function(data, covariates, term, df_num, df_den, statistic, p_value)
  joint[[length(joint) + 1]] <<- data.frame(data, covariates, term, df_num, df_den, statistic, p_value)
from_anova <- function(data, covariates, fit) { s <- Anova(fit, type = 3, white.adjust = "hc2")
  for (term in c("A", "B", "A:B")) say(data, covariates, term, s[term, "Df"], df.residual(fit), s[term, "F"], s[term, "Pr(>F)"]) }
for (name in c("crossed", "wide23")) { d <- get(name); d$A <- factor(d$a); d$B <- factor(d$b)
  from_anova(name, "", lm(y ~ A * B, d)); from_anova(name, "x", lm(y ~ A * B + x, d)) }
d <- quads; d$A <- factor(d$a); d$B <- factor(d$b); from_anova("quads", "x", lm(y ~ A * B + x + factor(block), d))
Y <- wide %*% t(do.call(rbind, effects(2, 3)))
for (term in list(c("A", 1), c("B", 2:3), c("A:B", 4:5))) { y <- Y[, as.integer(term[-1])]; n <- nrow(Y); q <- length(term) - 1
  t2 <- n * drop(t(colMeans(cbind(y))) %*% solve(cov(cbind(y))) %*% colMeans(cbind(y)))
  say("within", "", term[1], q, n - q, t2 * (n - q) / (q * (n - 1)), pf(t2 * (n - q) / (q * (n - 1)), q, n - q, lower.tail = FALSE)) }
many <- do.call(rbind, lapply(1:27, function(k) { set.seed(k); n <- c(2, 5, 3, 7, 4)[(k - 1) %% 5 + 1]; cell <- (k - 1) %% 6
  data.frame(a = cell %/% 3, b = cell %% 3, cluster = k, y = .4 * (cell %/% 3) + .5 * (cell == 5) + rnorm(1) + rnorm(n)) }))
write.csv(many, "data_factorial_many.csv", row.names = FALSE)
many$cell <- arms(many); fit <- lm(y ~ 0 + cell, many); L <- do.call(rbind, effects(2, 3))
for (term in list(c("A", 1), c("B", 2:3), c("A:B", 4:5))) {
  s <- Wald_test(fit, constraints = L[as.integer(term[-1]), , drop = FALSE], vcov = "CR2", cluster = many$cluster, test = "HTZ")
  say("many", "", term[1], s$df_num, s$df_denom, s$Fstat, s$p_val) }
write.csv(do.call(rbind, joint), "factorial_joint.csv", row.names = FALSE)

# ---- dose-response: doses 0 1 2 4 8, in the arms d0 to d8 ----
doses <- c(0, 1, 2, 4, 8); emax <- function(d) 1 + 2.5 * d / (1.8 + d)
parallel <- data.frame(dose = rep(doses, times = c(14, 9, 11, 16, 10)))
parallel$y <- round(emax(parallel$dose) + rnorm(60) * (.6 + parallel$dose / 8), 1)      # with ties
parallel$block <- rep(1:3, length.out = 60)
steady <- data.frame(dose = rep(doses, 12), y = rnorm(60) + emax(rep(doses, 12)) / 3)   # no ties
level <- rnorm(30); units <- expand.grid(dose = doses, unit = 1:30)
units$y <- round(level[units$unit] + emax(units$dose) * exp(level[units$unit] / 3) + rnorm(150) * .7, 1)
units$y[units$unit %% 4 == 0] <- rep(round(level[1:30 %% 4 == 0], 1), each = 5)          # silent units
for (name in c("parallel", "steady", "units")) write.csv(get(name), paste0("data_dose_", name, ".csv"), row.names = FALSE)
slopes <- (doses - mean(doses)) / sum((doses - mean(doses))^2)
rows <- list()
line <- function(data, analysis, quantity, estimate = NA, std_error = NA, df = NA, statistic = NA, p_value = NA)
  rows[[length(rows) + 1]] <<- data.frame(data, analysis, quantity, estimate, std_error, df, statistic, p_value)
from_slope <- function(data, estimator, b, se, df) line(data, estimator, "slope", b, se, df, b / se, 2 * pt(-abs(b / se), df))
for (name in c("parallel", "steady")) { d <- get(name)
  m <- tapply(d$y, d$dose, mean); n <- table(d$dose); v <- tapply(d$y, d$dose, var) / n; w <- slopes^2 * v; used <- slopes != 0
  from_slope(name, "auto", sum(slopes * m), sqrt(sum(w)), sum(w)^2 / sum((w^2 / (n - 1))[used]))
  f <- lm_robust(y ~ 0 + factor(dose), d, se_type = "HC2")
  from_slope(name, "difference_in_means", sum(slopes * coef(f)), sqrt(drop(t(slopes) %*% vcov(f) %*% slopes)), f$df.residual)
  k <- cor.test(d$dose, d$y, method = "kendall", exact = FALSE)
  line(name, "auto", "trend", statistic = unname(k$statistic), p_value = k$p.value)
}
line("steady", "ordinary", "slope", coef(lm(y ~ dose, steady))[["dose"]])          # equal arms: the same slope
by_unit <- sapply(split(units, units$unit), function(u) coef(lm(y ~ dose, u))[["dose"]]); f <- t.test(by_unit)
from_slope("units", "auto", unname(f$estimate), f$stderr, unname(f$parameter))
p <- friedman_test(y ~ ordered(dose) | factor(unit), units)
line("units", "auto", "trend", statistic = as.numeric(statistic(p)), p_value = as.numeric(pvalue(p)))
for (name in c("parallel", "steady", "units")) { d <- get(name)
  f <- fitMod(d$dose, d$y, model = "emax", bnds = c(.01, 800), control = list(gridSize = list(dim1 = 2000)))
  # The same optimum by another road, to more digits than fitMod's.
  of <- function(l) lm(d$y ~ I(d$dose / (exp(l) + d$dose))); l0 <- log(coef(f)[["ed50"]])
  score <- function(l) sum(residuals(of(l)) * d$dose / (exp(l) + d$dose)^2)
  l <- uniroot(score, l0 + c(-.2, .2), tol = 1e-13)$root; g <- coef(of(l)); stopifnot(abs(l - l0) < 1e-3)
  line(name, "emax", "E0", g[[1]]); line(name, "emax", "Emax", g[[2]]); line(name, "emax", "ED50", exp(l))
  line(name, "DoseFinding", "E0", coef(f)[["e0"]]); line(name, "DoseFinding", "Emax", coef(f)[["eMax"]]); line(name, "DoseFinding", "ED50", coef(f)[["ed50"]])
}
write.csv(do.call(rbind, rows), "dose_response.csv", row.names = FALSE)
