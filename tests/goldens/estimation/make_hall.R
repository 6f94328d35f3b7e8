# Golden values of Hall's limits for skewed outcomes: run `Rscript make_hall.R` in this folder.
# Base R only. Reads data_*.csv of make_goldens.R; writes hall.csv. Everything is written out from
# the formulas of Hall (1992) and Zhou and Dinh (2005), apart from the Python code.
options(digits = 17)
data <- function(name) read.csv(paste0("data_", name, ".csv"))

transform_t <- function(t, g) t + g * t^2 / 3 + g^2 * t^3 / 27 + g / 6
limits <- function(estimate, se, df, thirds, alpha, k) {
  if (k == 60) thirds <- c(thirds, thirds / 2, thirds / 4)
  inverse <- function(q, g) uniroot(function(t) transform_t(t, g) - q, c(-1e3, 1e3), tol = 1e-13)$root
  q <- qt(1 - alpha / 2, df)
  gammas <- thirds / se^3
  low <- estimate - se * max(q, sapply(gammas, function(g) inverse(q, g)))
  high <- estimate - se * min(-q, sapply(gammas, function(g) inverse(-q, g)))
  candidates <- c(estimate / se, transform_t(estimate / se, gammas))
  p <- max(2 * pt(-abs(candidates), df))
  c(estimate = estimate, std_error = se, df = df, p_value = p, conf_low = low, conf_high = high)
}
skew <- function(v) mean((v - mean(v))^3) / mean((v - mean(v))^2)^1.5
of_mean <- function(v, k) (1 + k / length(v)) * skew(v) * sd(v)^3 / length(v)^2
of_shape <- function(res1, res0, s1, s0, k) {      # residuals and standard deviations of the arms
  n <- length(res1); m <- length(res0)
  pooled <- sqrt(((n - 1) * s1^2 + (m - 1) * s0^2) / (n + m - 2))
  (1 + k / (n + m)) * skew(c(res1, res0)) *
    ((s1 * pooled)^1.5 / n^2 - (s0 * pooled)^1.5 / m^2)
}
mean_of <- function(d, alpha, k) {
  limits(mean(d), sd(d) / sqrt(length(d)), length(d) - 1, of_mean(d, k), alpha, k)
}
welch <- function(y, z, alpha, k) {
  a <- y[z == 1]; b <- y[z == 0]
  t <- t.test(a, b)
  # What a unit contributes is its residual over sqrt(n (n - 1)): times n it is a little longer.
  longer <- function(v) (v - mean(v)) * sqrt(length(v) / (length(v) - 1))
  own <- of_mean(a, k) - of_mean(b, k)
  shape <- of_shape(longer(a), longer(b), sd(a), sd(b), k)
  limits(mean(a) - mean(b), unname(t$stderr), unname(t$parameter), c(own, shape), alpha, k)
}
regression <- function(model, alpha, k, z, type) {
  x <- model.matrix(model); h <- hatvalues(model); e <- residuals(model)
  loading <- (x %*% solve(crossprod(x)))[, "z"]
  part <- loading * e / (if (type == "HC3") 1 - h else sqrt(1 - h))
  one <- part[z == 1]; zero <- part[z == 0]
  cube <- function(p) (1 + k / length(p)) * sum(p^3)
  r1 <- one * length(one); r0 <- -zero * length(zero)
  shape <- of_shape(r1, r0, sqrt(mean(r1^2)), sqrt(mean(r0^2)), k)
  limits(unname(coef(model)["z"]), sqrt(sum(part^2)), df.residual(model),
         c(cube(one) + cube(zero), shape), alpha, k)
}

cases <- list()
for (k in c(10, 60)) {
  alpha <- if (k == 10) 0.05 else 0.1
  add <- function(name, found) {
    cases[[length(cases) + 1]] <<- data.frame(case = name, one_sided = k == 60, alpha = alpha, t(found))
  }
  for (name in c("sleep", "paired")) {
    d <- data(name); d <- d[order(d$unit), ]
    add(name, mean_of(d$y[d$z == 1] - d$y[d$z == 0], alpha, k))
  }
  d <- data("pairs"); d <- d[order(d$block, d$z), ]
  add("pairs", mean_of(d$y[d$z == 1] - d$y[d$z == 0], alpha, k))
  d <- data("mtcars")
  add("mtcars", welch(d$y, d$z, alpha, k))
  d$y <- exp(d$y / 5)
  add("mtcars, skewed", welch(d$y, d$z, alpha, k))
  add("mtcars, adjusted", regression(lm(y ~ z + x, d), alpha, k, d$z, "HC2"))
  d <- data("small_blocks")
  add("small_blocks", regression(lm(y ~ z + factor(block), d), alpha, k, d$z, "HC3"))
}
write.csv(do.call(rbind, cases), "hall.csv", row.names = FALSE)
